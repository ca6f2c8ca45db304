from django.db import models


class Invoice(models.Model):
    # In an application this would be unique as well. Here it is not, so that nothing but the lock
    # stands between ten submissions and ten invoices.
    order = models.CharField(max_length=50, db_index=True)
    process = models.PositiveIntegerField()
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Invoice {self.pk} for order {self.order}"
