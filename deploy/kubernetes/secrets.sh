#!/usr/bin/env bash
# Prints the secrets that the production overlay names, with new random passwords, for whoever has no store of secrets:
#   PAYMENT_GATEWAY_KEY=... PAYMENT_WEBHOOK_SECRET=... MAIL_TRANSPORT=smtps://... deploy/kubernetes/secrets.sh | kubectl -n quadrille create -f -
# `create`, not `apply`: what is there keeps its passwords. Kafka's users get theirs from Strimzi.
set -euo pipefail

for variable in PAYMENT_GATEWAY_KEY PAYMENT_WEBHOOK_SECRET MAIL_TRANSPORT; do
    [ -n "${!variable:-}" ] || { echo "secrets: $variable is not set; docs/CONFIGURATION.md says what it is" >&2; exit 1; }
done

random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# A text in YAML's single quotes.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

secret() { # secret NAME TYPE KEY VALUE [KEY VALUE]...
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: %s\nstringData:\n' "$1" "$2"
    shift 2
    while [ $# -gt 0 ]; do
        printf '  %s: %s\n' "$1" "$(quoted "$2")"
        shift 2
    done
}

database() { # database PROGRAM ROLE CLUSTER DATABASE: one password, for the server and in the URL of who connects
    local password url
    password=$(random)
    url="postgres://$2:$password@$3-rw:5432/$4?sslmode=verify-full&sslrootcert=/run/secrets/quadrille/database-ca.pem"
    secret "$1-database" kubernetes.io/basic-auth username "$2" password "$password" url "$url"
}

for of in order payment stock notification; do
    database "$of-svc" "${of}_svc" "$of-db" "${of}_svc"
    database "$of-relay" "${of}_relay" "$of-db" "${of}_svc"
done
secret guest-link Opaque secret "$(random)"
secret payment-gateway Opaque key "$PAYMENT_GATEWAY_KEY" webhook-secret "$PAYMENT_WEBHOOK_SECRET"
secret mail Opaque transport "$MAIL_TRANSPORT"
