use web::app;

#[tokio::test]
async fn distance_is_told() {
    let request = axum::http::Request::get("/v1/distance/a/b");
    let _ = (app(), request);
}
