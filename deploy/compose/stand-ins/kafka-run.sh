#!/bin/bash
# Turns KAFKA_... into server properties, formats the log folder on first start, then becomes the broker: as the official
# image does.
set -euo pipefail
properties=/tmp/server.properties
: > "$properties"
while IFS='=' read -r name value; do
    case $name in
        KAFKA_HEAP_OPTS | KAFKA_OPTS | KAFKA_JVM_PERFORMANCE_OPTS | KAFKA_LOG4J_OPTS) continue ;;
    esac
    # ___ is a dash, __ an underscore, _ a dot
    name=$(sed -e 's/^KAFKA_//' -e 's/___/-/g' -e 's/__/\x01/g' -e 's/_/./g' -e 's/\x01/_/g' <<< "$name" | tr '[:upper:]' '[:lower:]')
    echo "$name=$value" >> "$properties"
done < <(env | grep '^KAFKA_' | sort)
# shellcheck disable=SC2206 # both are lists of options
run=(java ${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*')
"${run[@]}" kafka.tools.StorageTool format --ignore-formatted --cluster-id "${CLUSTER_ID:?must be set}" --config "$properties"
exec "${run[@]}" kafka.Kafka "$properties"
