# One image for web and worker. It holds no secret and no state: what differs between machines comes from the environment.
FROM python:3.11-slim-bookworm AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config default-libmysqlclient-dev \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/patient-passport/.venv
COPY requirements/base.txt /tmp/base.txt
RUN /opt/patient-passport/.venv/bin/python -m pip install --no-cache-dir --require-hashes -r /tmp/base.txt

FROM python:3.11-slim-bookworm
# The driver's library, and what PDF needs.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libmariadb3 libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/patient-passport --create-home passport
WORKDIR /opt/patient-passport
COPY --from=packages /opt/patient-passport/.venv .venv
COPY manage.py gunicorn.conf.py LICENSE ./
COPY passport passport
COPY hospitals hospitals
COPY openmrs_sync openmrs_sync
COPY templates templates
COPY static static
COPY locale locale
ENV PATH=/opt/patient-passport/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/patient-passport
USER passport
# Settings ask for both; neither is kept.
RUN SECRET_KEY=only-while-static-files-are-collected \
    CREDENTIAL_KEYS="$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
    python manage.py collectstatic --noinput
EXPOSE 8000
CMD ["gunicorn", "passport.wsgi", "--no-control-socket", "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--bind", "0.0.0.0:8000"]
