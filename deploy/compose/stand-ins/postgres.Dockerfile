# Stands in for the official `postgres` image where no registry can be reached: Debian's server behind the same variables
# (POSTGRES_USER, POSTGRES_PASSWORD, PGDATA), volume and port.
FROM quadrille-test/debian:bookworm
RUN apt-get update -qq \
    && mkdir -p /etc/postgresql-common \
    && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql gosu \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data /var/run/postgresql
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
# As the official image does: a fast shutdown, which doesn't wait for clients.
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
