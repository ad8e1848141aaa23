from django.urls import path, re_path

from . import views

urlpatterns = [
    path("orders/<int:order_id>/", views.order_detail),
    path("orders/", views.OrderList.as_view()),
    re_path(r"^old/(?P<year>[0-9]{4})/$", views.old),
]
