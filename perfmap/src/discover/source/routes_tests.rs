use proptest::prelude::*;

use super::*;

fn found(language: Language, text: &str) -> Vec<String> {
    let routes = routes(language, text);
    let prefixes = routes.prefixes.iter().map(|prefix| format!("prefix {prefix}"));
    let shown = routes.routes.iter().map(|route| {
        format!("{}: {} {} {:?}", route.line, route.method.as_deref().unwrap_or("*"), route.path, route.handler)
    });
    shown.chain(prefixes).collect()
}

#[test]
fn python() {
    let fastapi = "\
router = APIRouter(tags=['x'], prefix=\"/orders\")
@router.post(
    \"/{order_id}/pay\", status_code=201,
)
async def pay(order_id: int): ...
# @router.get('/old')
app.include_router(router, prefix='/api/v1')
r = client.get('/not/a/route')
";
    assert_eq!(found(Language::Python, fastapi), ["3: POST /orders/{order_id}/pay Next", "prefix /api/v1"]);
    let flask = "@bp.route('/items', methods=['GET', \"POST\"])\ndef items(): ...\n@app.route('/')\ndef home(): ...\n";
    assert_eq!(found(Language::Python, flask), ["1: GET /items Next", "1: POST /items Next", "3: * / Next"]);
    let django = "\
urlpatterns = [
    path('orders/<int:pk>/', views.OrderDetail.as_view(), name='order'),
    re_path(r'^old/$', old_view),
    path('api/', include('shop.urls')),
]
";
    let expected = ["2: * orders/<int:pk>/ Named(\"OrderDetail\")", "3: * ^old/$ Named(\"old_view\")", "prefix api/"];
    assert_eq!(found(Language::Python, django), expected);
}

#[test]
fn node() {
    let express = "\
router.get('/orders/:id', auth, controller.show);
app.post(\"/orders\", async (req, res) => { res.send('x'); });
app.use('/api', router);
axios.get('/elsewhere', options);
app.get('title');
";
    let expected = ["1: GET /orders/:id Named(\"show\")", "2: POST /orders Inline", "prefix /api"];
    assert_eq!(found(Language::Node, express), expected);
    let nest = "@Controller('orders')\nclass A {\n  @Get(':id')\n  one() {}\n  @Post()\n  make() {}\n}\n";
    assert_eq!(found(Language::Node, nest), ["3: GET /orders/:id Next", "5: POST /orders/ Next"]);
}

#[test]
fn go_and_rust() {
    let go = "\
mux.HandleFunc(\"POST /orders\", s.createOrder)
http.HandleFunc(\"/health\", func(w http.ResponseWriter, r *http.Request) {})
v1 := r.Group(\"/v1\")
v1.GET(\"/items/:id\", handlers.GetItem)
router.HandleFunc(\"/a\", list).Methods(\"PUT\")
mux.Handle(\"GET /wrapped\", logged(show))
resp, err := http.Get(\"/x\")
";
    let expected = [
        "1: POST /orders Named(\"createOrder\")",
        "2: * /health Inline",
        "4: GET /items/:id Named(\"GetItem\")",
        "5: PUT /a Named(\"list\")",
        "6: GET /wrapped Named(\"show\")",
        "prefix /v1",
    ];
    assert_eq!(found(Language::Go, go), expected);
    let rust = "\
let app = Router::new()
    .route(\"/orders/{id}\", get(show).post(orders::create))
    .nest(\"/api\", other);
#[get(\"/items\")]
async fn items() {}
web::resource(\"/r\").route(web::put().to(put_it));
";
    let expected = [
        "2: GET /orders/{id} Named(\"show\")",
        "2: POST /orders/{id} Named(\"create\")",
        "4: GET /items Next",
        "6: PUT /r Named(\"put_it\")",
        "prefix /api",
    ];
    assert_eq!(found(Language::Rust, rust), expected);
}

#[test]
fn spring() {
    let text = "\
@RestController
@RequestMapping(\"/api/orders\")
public class Orders {
    @GetMapping
    public List<Order> all() { return x; }
    @PostMapping(value = \"/{id}/pay\", consumes = \"a/b\")
    public Order pay() { }
    @RequestMapping(path = \"/old\", method = RequestMethod.DELETE)
    public void old() { }
}
";
    let expected = ["4: GET /api/orders/ Next", "6: POST /api/orders/{id}/pay Next", "8: DELETE /api/orders/old Next"];
    assert_eq!(found(Language::Java, text), expected);
}

#[test]
fn routes_that_are_the_same() {
    let prefixes = ["/api/v1".to_owned()];
    let rank = |own: &str, wanted: &str| fit(own, &prefixes, wanted).map(|fit| (fit.rank, fit.parameters));
    assert_eq!(rank("/orders/{id}", "/orders/{order}"), Some((0, 1)));
    assert_eq!(rank("/orders/:id", "/orders/7"), Some((0, 1)));
    assert_eq!(rank("/orders", "/api/v1/orders"), Some((1, 0)));
    assert_eq!(rank("/orders", "/x/orders"), Some((2, 0)));
    assert_eq!(rank("/{id}", "/x/orders"), None);
    assert_eq!(rank("/orders/all", "/orders/{id}"), None);
    assert_eq!(rank("orders/<int:pk>/", "/orders/3"), Some((0, 1)));
    for text in ["/orders/7", "http://localhost:1/orders/7?x=1", "${BASE}/orders/${id}", "{self.url}/orders/{id}/"] {
        assert!(same_route("/orders/{id}", text), "{text}");
    }
    for text in ["/orders", "orders/7", "/orders/7/pay", "GET /orders/7", ""] {
        assert!(!same_route("/orders/{id}", text), "{text}");
    }
}

proptest! {
    #[test]
    fn total(text in any::<String>(), code in "(@|get|post|path|route|Mapping|Controller|[(){}\"'/:., \n=]|methods)*") {
        for language in [Language::Python, Language::Node, Language::Go, Language::Rust, Language::Java] {
            for text in [&text, &code] {
                for route in routes(language, text).routes {
                    let _ = fit(&route.path, &[], text);
                }
            }
        }
    }
}
