use proptest::prelude::*;

use super::*;

fn found(language: Language, text: &str) -> Vec<(String, u32, u32)> {
    definitions(language, text).into_iter().map(|found| (found.qualified, found.line, found.end)).collect()
}

fn expect(language: Language, text: &str, expected: &[(&str, u32, u32)]) {
    let expected: Vec<_> = expected.iter().map(|(name, line, end)| ((*name).to_owned(), *line, *end)).collect();
    assert_eq!(found(language, text), expected);
}

#[test]
fn python() {
    let text = "\
import os

@app.post('/x')
async def create(
    body: Body,
    n: int = 1,
) -> Order:
    '''
def no(): pass
    '''
    def inner():
        return 1

    return inner()

class Service:
    def run(self):
        pass
x = 1
";
    expect(
        Language::Python,
        text,
        &[("create", 4, 14), ("create.inner", 11, 12), ("Service", 16, 18), ("Service.run", 17, 18)],
    );
    let all = definitions(Language::Python, text);
    assert!(all[0].is_async && all[0].parameters.contains("body: Body"));
    assert_eq!(all[3].kind, Kind::Method);
    assert_eq!(around(&all, 12).map(|found| found.name.as_str()), Some("inner"));
    assert_eq!(around(&all, 14).map(|found| found.name.as_str()), Some("create"));
    assert_eq!(around(&all, 19), None);
}

#[test]
fn node() {
    let text = "\
const express = require('express');
async function list(req, res) {
  if (a) { b(); }
}
export const create = async (req, res) => {
  return 1;
};
exports.remove = function (req) { return '}'; };
const twice = x => x * 2;
const n = (1 + 2) * 3;
export class OrdersController {
  constructor(private readonly orders: Orders) {}
  @Get(':id')
  async one(@Param('id') id: string): Promise<Order> {
    for (const x of y) { z(x); }
    return this.orders.one(id);
  }
}
";
    expect(
        Language::Node,
        text,
        &[
            ("list", 2, 4),
            ("create", 5, 7),
            ("remove", 8, 8),
            ("twice", 9, 9),
            ("OrdersController", 11, 18),
            ("OrdersController.constructor", 12, 12),
            ("OrdersController.one", 14, 17),
        ],
    );
}

#[test]
fn go_rust_and_java() {
    let go = "package x\n\nfunc (s *Server) Create(w http.ResponseWriter, r *http.Request) {\n\tif a { b() }\n}\nfunc main() {\n}\n";
    expect(Language::Go, go, &[("Server.Create", 3, 5), ("main", 6, 7)]);
    let rust = "\
pub async fn create(State(db): State<Db>) -> Result<Json<Order>> {
    let x = || { 1 };
}
impl<T: Clone> Store for Memory<T> {
    fn get(&self) -> u32;
    pub(crate) fn put(&self) { }
}
#[cfg(test)]
mod tests {
    #[test]
    fn puts() {
        let c = '{';
    }
}
";
    expect(
        Language::Rust,
        rust,
        &[
            ("create", 1, 3),
            ("Memory", 4, 7),
            ("Memory::get", 5, 5),
            ("Memory::put", 6, 6),
            ("tests", 9, 14),
            ("tests::puts", 11, 13),
        ],
    );
    let java = "\
@RestController
public class OrderController {
    private final Orders orders = new Orders();
    public OrderController(Orders orders) { this.orders = orders; }
    @PostMapping(\"/x\")
    public ResponseEntity<Order> create(@RequestBody Body body)
            throws IOException {
        if (body == null) { return null; }
        return make(body);
    }
}
";
    expect(
        Language::Java,
        java,
        &[("OrderController", 2, 11), ("OrderController.OrderController", 4, 4), ("OrderController.create", 6, 10)],
    );
}

#[test]
fn names_of_targets() {
    let all = definitions(Language::Python, "class A:\n    def f(self):\n        pass\ndef f():\n    pass\n");
    assert_eq!(by_name(&all, "f").map(|found| found.line), Some(4));
    assert_eq!(by_name(&all, "A::f").map(|found| found.line), Some(2));
    assert_eq!(by_name(&all, "A.f").map(|found| found.line), Some(2));
    assert_eq!(by_name(&all, "g"), None);
}

proptest! {
    #[test]
    fn total(text in any::<String>(), code in "(def |class |fn |func |function |const |impl |[a-z(){}=;>:'\" \n]){0,60}") {
        for language in [Language::Python, Language::Node, Language::Go, Language::Rust, Language::Java, Language::Php] {
            for text in [&text, &code] {
                let mut last = 0;
                for found in definitions(language, text) {
                    prop_assert!(found.line >= last && found.end >= found.line, "{found:?}");
                    last = found.line;
                }
            }
        }
    }
}
