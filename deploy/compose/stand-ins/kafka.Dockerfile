# Stands in for the official `apache/kafka` image where no registry can be reached: the jars of deploy/servers/kafka.lock
# behind the same variables (CLUSTER_ID, KAFKA_HEAP_OPTS, KAFKA_...), user and folders. The build context holds jars/.
FROM quadrille-test/debian:bookworm
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home appuser \
    && install -d -o appuser -g root -m 775 /var/lib/kafka/data /tmp/kraft-combined-logs /opt/kafka
COPY jars /opt/kafka/libs
COPY kafka-run.sh /etc/kafka/docker/run
USER appuser
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
