use axum::{routing::get, Router};

mod routes;

pub fn app() -> Router {
    let v1 = Router::new().route("/distance/:from/:to", get(routes::distance));
    Router::new().nest("/v1", v1)
}
