import asyncio
import os

import httpx
from fastapi import Depends, FastAPI

from .routers import reports
from .deps import get_settings

app = FastAPI()
app.include_router(reports.router, prefix="/api/v1")

JOBS_URL = os.environ.get("JOBS_URL", "http://jobs:8001")


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/jobs/{job_id}/full")
async def full_job(job_id: int, settings=Depends(get_settings)):
    async with httpx.AsyncClient(timeout=5) as client:
        job = await client.get(f"{JOBS_URL}/jobs/{job_id}")
        owner = await client.get(f"{JOBS_URL}/owners/{settings.tenant}")
    return {"job": job.json(), "owner": owner.json()}


@app.get("/jobs/all")
async def all_jobs():
    async with httpx.AsyncClient() as client:
        calls = [client.get(f"{JOBS_URL}/jobs/{n}") for n in range(10)]
        return [answer.json() for answer in await asyncio.gather(*calls)]
