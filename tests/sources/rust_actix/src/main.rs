use actix_web::{App, HttpServer, delete, get, web};

mod files;

#[get("/items/{id}")]
async fn item(path: web::Path<u32>) -> String {
    files::read(path.into_inner())
}

async fn add() -> String {
    String::new()
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| {
        App::new()
            .service(web::scope("/v1").service(item))
            .route("/items", web::post().to(add))
            .service(web::resource("/things/{id}").route(web::put().to(files::put)))
    })
    .bind(("0.0.0.0", 8080))?
    .run()
    .await
}
