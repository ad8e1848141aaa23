from django.test import TestCase

from .models import Item


class CatalogTests(TestCase):
    def test_list(self):
        Item.objects.create(name="x")
        self.assertEqual(self.client.get("/api/catalog/items/").status_code, 200)

    def test_detail(self):
        item = Item.objects.create(name="x")
        answer = self.client.get(f"/api/catalog/items/{item.pk}/")
        self.assertEqual(answer.json(), {"name": "x"})
