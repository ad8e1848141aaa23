from django.http import JsonResponse
from django.views import View

from .models import Item


def item_list(request):
    return JsonResponse({"items": [item.name for item in Item.objects.all()]})


class ItemDetail(View):
    def get(self, request, pk):
        return JsonResponse({"name": Item.objects.get(pk=pk).name})

    def delete(self, request, pk):
        Item.objects.filter(pk=pk).delete()
        return JsonResponse({})
