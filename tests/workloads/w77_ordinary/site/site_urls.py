from articles.views import article, front
from django.urls import path

urlpatterns = [path("", front), path("articles/<int:id>/", article)]
