import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    DEBUG=False, ALLOWED_HOSTS=["*"], SECRET_KEY="ordinary", ROOT_URLCONF="site_urls", USE_TZ=True,
    INSTALLED_APPS=["articles"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DB"]}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()

if sys.argv[1] == "fill":
    from django.db import connection
    from articles.models import Article

    with connection.schema_editor() as editor:
        editor.create_model(Article)
    Article.objects.bulk_create(Article(title="Article %d" % i, text="words " * 40) for i in range(20))
else:
    execute_from_command_line(sys.argv)
