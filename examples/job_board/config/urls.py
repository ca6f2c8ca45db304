from django.urls import path

from jobs import views

urlpatterns = [
    path("", views.listing, name="listing"),
    path("jobs/<int:job_id>/save/", views.save, name="save"),
    path("saved/", views.saved, name="saved"),
    path("statistics/", views.statistics, name="statistics"),
    path("sources/", views.sources, name="sources"),
    path("sources/<str:source>/scrape/", views.scrape, name="scrape"),
    path("demo/", views.demo, name="demo"),
]
