# The app on a CPU, as a user who owns nothing, with a read-only root and a writable /tmp. README.md has the commands.
#
# The packages are those of requirements.txt as PyPI has them: 5.3 GB, of which CUDA libraries are 3.5 GB
# (python -m benchmarks.worker ours size), since torchaudio 2.11.0 from there needs the CUDA build of torch, also on a
# CPU (libc10_cuda.so).
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
USER nobody
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_TEMP_DIR=/tmp/gradio HF_HOME=/tmp/huggingface PYTHONUNBUFFERED=1
EXPOSE 7860
# Python as process 1 ends by SIGINT, but not by the default, SIGTERM
STOPSIGNAL SIGINT
HEALTHCHECK --start-period=60s --timeout=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860', timeout=9)"]
CMD ["python", "app.py"]
