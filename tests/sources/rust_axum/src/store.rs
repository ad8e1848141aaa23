use sqlx::PgPool;

pub struct Store {
    pool: PgPool,
}

impl Store {
    pub async fn load(&self, id: u64) -> Job {
        sqlx::query_as("SELECT id FROM jobs WHERE id = $1").bind(id).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn stock(&self, id: u64) -> u64 {
        sqlx::query_scalar!("SELECT count FROM stock WHERE id = $1", id).fetch_one(&self.pool).await.unwrap()
    }
}
