import time

import requests
from fastapi import APIRouter

from ..report_service import ReportService

router = APIRouter(prefix="/reports")
service = ReportService("http://jobs:8001")


@router.post("/{name}")
async def build_report(name: str):
    time.sleep(0.1)
    rows = service.collect(name)
    return render(rows)


def render(rows):
    return [render_one(row) for row in rows]


def render_one(row):
    with open("template.html") as file:
        return file.read().format(row)
