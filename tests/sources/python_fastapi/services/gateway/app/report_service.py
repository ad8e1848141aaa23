import requests


class ReportService:
    def __init__(self, base):
        self.base = "http://jobs:8001"
        self.session = requests.Session()

    def collect(self, name):
        rows = []
        for n in range(10):
            rows.append(self.fetch(n))
        return rows

    def fetch(self, n):
        answer = self.session.get(f"{self.base}/jobs/{n}")
        return answer.json()

    def fetch_many(self, ids):
        return self.session.post(f"{self.base}/jobs/batch", json=ids).json()
