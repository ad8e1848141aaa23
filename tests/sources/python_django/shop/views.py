from django.core.cache import cache
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views import View

from .models import Order


def order_detail(request, order_id):
    order = get_object_or_404(Order, pk=order_id)
    lines = []
    for line in order.line_set.all():
        lines.append(price_of(line))
    return JsonResponse({"lines": lines})


def price_of(line):
    return Product.objects.get(pk=line.product_id).price


class OrderList(View):
    def get(self, request):
        found = cache.get("orders")
        if found is None:
            found = list(Order.objects.filter(open=True).order_by("id"))
            cache.set("orders", found)
        return JsonResponse({"orders": found})


def old(request, year):
    return JsonResponse({})
