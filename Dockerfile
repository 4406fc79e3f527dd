# One image for every service of ours: the same lock as on a desk, and an account that owns nothing in it.
FROM python:3.12.13-slim-trixie

ENV PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

# The two data folders exist with their owner, so that a new named volume takes both over.
RUN useradd --create-home --uid 10001 strikeflow \
    && install -d -o strikeflow -g strikeflow /var/lib/strikeflow /var/lib/prefect

WORKDIR /app

# The lock first: a change of our code keeps this layer. It is complete, so pip resolves nothing;
# `pip check` says so.
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
    && pip check

COPY . .
# Kernels are kept for a file of one age; an image's layers cut it to whole seconds. And only who may
# write where they are kept is given them.
RUN find domain/pricing simulator/tree.py -name '*.py' -exec touch --date=2026-01-01 {} + \
    && install -d -o strikeflow domain/pricing/__pycache__ simulator/__pycache__
USER strikeflow
RUN python -m domain.pricing && python -m simulator.tree
CMD ["python", "-m", "cli", "--help"]
