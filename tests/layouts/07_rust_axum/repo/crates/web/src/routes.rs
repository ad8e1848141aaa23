use axum::extract::Path;

pub async fn distance(Path((from, to)): Path<(String, String)>) -> String {
    format!("{} {from} {to}", geo::distance::haversine((0.0, 0.0), (1.0, 1.0)))
}
