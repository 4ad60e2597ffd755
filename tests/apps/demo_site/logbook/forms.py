from django import forms

from .models import Entry

LARGEST_UPLOAD = 256 * 1024 * 1024


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["title", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}


class UploadForm(forms.Form):
    file = forms.FileField(allow_empty_file=True, max_length=255)

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > LARGEST_UPLOAD:
            raise forms.ValidationError(f"The largest file this demo keeps has {LARGEST_UPLOAD // 1024**2} MiB.")
        return file
