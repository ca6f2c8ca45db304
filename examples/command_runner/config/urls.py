from django.urls import path

from runner import views

urlpatterns = [
    path("", views.index, name="index"),
    path("runs/", views.start, name="start"),
    path("runs/<str:run_id>/", views.run, name="run"),
    path("runs/<str:run_id>/output", views.output, name="output"),
    path("runs/<str:run_id>/output.txt", views.download, name="download"),
]
