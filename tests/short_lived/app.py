"""The app, but that it deletes uploads after as many seconds as LIFE says, rather than within the hour."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app
from genre.web import uploads

uploads.CHECK_SECONDS = app.UPLOAD_CHECK_SECONDS = 1
uploads.LIFE_SECONDS = uploads.UNFINISHED_SECONDS = app.UPLOAD_LIFE_SECONDS = int(os.environ["LIFE"])
app.main()
