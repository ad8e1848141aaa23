mod jobs;
mod store;

use axum::{Router, routing::get};

#[tokio::main]
async fn main() {
    let app = Router::new().route("/health", get(health)).nest("/api", jobs::routes());
    axum::serve(listener().await, app).await.unwrap();
}

async fn health() -> &'static str {
    "ok"
}

async fn listener() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("0.0.0.0:3000").await.unwrap()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing() {
        super::store::load_all();
    }
}
