"""The app with a time to live of uploads in seconds from the variable LIFE, rather than within the hour."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app
from genre.web import page, uploads

uploads.CHECK_SECONDS = page.UPLOAD_CHECK_SECONDS = 1
uploads.TTL_SECONDS = uploads.UNFINISHED_TTL_SECONDS = page.UPLOAD_TTL_SECONDS = int(os.environ["LIFE"])
app.main()
