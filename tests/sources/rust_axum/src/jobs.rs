use crate::store::Store;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use std::{sync::Arc, time::Duration};

pub fn routes() -> Router<Arc<Store>> {
    Router::new().route("/jobs/{id}", get(show).delete(remove)).route("/jobs", post(create))
}

async fn show(State(store): State<Arc<Store>>, Path(id): Path<u64>) -> Json<Job> {
    let job = store.load(id).await;
    let (price, stock) = tokio::join!(price_of(id), store.stock(id));
    Json(job.with(price, stock))
}

async fn remove(Path(id): Path<u64>) {
    std::thread::sleep(Duration::from_millis(5));
    let text = std::fs::read_to_string("audit.log").unwrap();
}

async fn create(State(store): State<Arc<Store>>) {
    for id in 0..10 {
        store.load(id).await;
    }
}

async fn price_of(id: u64) -> u64 {
    let client = reqwest::Client::new();
    let answer = client.get(format!("http://prices:9000/prices/{id}")).send().await.unwrap();
    answer.json().await.unwrap()
}
