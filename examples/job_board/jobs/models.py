from django.db import models


class Job(models.Model):
    url = models.URLField(unique=True)
    title = models.CharField(max_length=200)
    company = models.CharField(max_length=200)
    location = models.CharField(max_length=200)
    source = models.CharField(max_length=50)
    found = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-found", "-id"]
        indexes = [models.Index(fields=["location"])]

    def __str__(self) -> str:
        return f"{self.title} at {self.company}"
