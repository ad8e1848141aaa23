from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

app = FastAPI()
engine = create_engine("postgresql://db/jobs", pool_size=5, pool_timeout=30)
SessionLocal = sessionmaker(bind=engine)


@app.get("/jobs/{job_id}")
def get_job(job_id: int):
    db = SessionLocal()
    job = db.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": job_id}).first()
    for tag_id in job.tag_ids:
        db.execute(text("SELECT name FROM tags WHERE id = :id"), {"id": tag_id})
    return job


@app.post("/jobs/batch")
def batch(ids: list[int]):
    return ids


@app.get("/owners/{name}")
def get_owner(name: str):
    return {"name": name}
