from celery import shared_task


@shared_task(bind=True)
def reindex(self, batch: int):
    return batch
