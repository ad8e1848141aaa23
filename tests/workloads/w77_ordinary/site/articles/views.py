from django.shortcuts import get_object_or_404, render

from .models import Article


def front(request):
    return render(request, "front.html", {"articles": Article.objects.order_by("title")})


def article(request, id):
    return render(request, "article.html", {"article": get_object_or_404(Article, pk=id)})
