from django.urls import path

from . import views

urlpatterns = [
    path("items/", views.item_list, name="items"),
    path("items/<int:pk>/", views.ItemDetail.as_view(), name="item"),
]
