"""The app with a time to live of uploads in seconds from the variable LIFE, rather than within the hour."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app
from genre.web import uploads

uploads.CHECK_SECONDS = app.UPLOAD_CHECK_SECONDS = 1
uploads.TTL_SECONDS = uploads.UNFINISHED_TTL_SECONDS = app.UPLOAD_TTL_SECONDS = int(os.environ["LIFE"])
app.main()
