#!/usr/bin/env bash
# Renders the overlays and holds every object against its schema: Kubernetes' own by kubernetes-validate (PyPI), those of CloudNativePG,
# KEDA and Prometheus' operator by the definitions in their Go modules, Strimzi's by the definitions that its own generator (Maven
# Central) writes from its classes. What can't be had is named, and fails the run unless QUADRILLE_LENIENT=1.
#
#   deploy/kubernetes/validate.sh [FOLDER]    FOLDER keeps what is fetched, target/kubernetes where none is given
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/kubernetes}
mkdir -p "$work"
work=$(cd "$work" && pwd)

kubernetes_validate=1.37.0
kubernetes=1.32
kustomize=v5.7.1
# module, version, folder of definitions in it
modules=(
    "github.com/cloudnative-pg/cloudnative-pg v1.30.0 config/crd/bases"
    "github.com/kedacore/keda/v2 v2.17.2 config/crd/bases"
    "github.com/prometheus-operator/prometheus-operator v0.85.0 example/prometheus-operator-crd"
)
strimzi=1.2.0

say() { echo "validate: $*" >&2; }

render() { # render FOLDER
    if command -v kubectl >/dev/null; then kubectl kustomize "$1"
    elif command -v kustomize >/dev/null; then kustomize build "$1"
    else
        [ -x "$work/bin/kustomize" ] || GOBIN="$work/bin" go install "sigs.k8s.io/kustomize/kustomize/v5@$kustomize"
        "$work/bin/kustomize" build "$1"
    fi
}

definitions_of_modules() {
    command -v go >/dev/null || { say "no Go: definitions of CloudNativePG, KEDA and Prometheus' operator can't be had"; return 0; }
    local module version folder found
    for line in "${modules[@]}"; do
        read -r module version folder <<< "$line"
        if found=$(cd "$work" && go mod download -json "$module@$version" 2>/dev/null | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && [ -n "$found" ]; then
            cp "$found/$folder"/*.yaml "$work/definitions/"
        else
            say "$module@$version can't be had"
        fi
    done
}

# A Java of version 21 or later, which Strimzi's classes are compiled for.
java_21() {
    local java
    for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" java /usr/lib/jvm/*/bin/java; do
        if [ -n "$java" ] && "$java" -version 2>&1 | grep -qE 'version "(2[1-9]|[3-9][0-9])'; then
            echo "$java"
            return 0
        fi
    done
    return 1
}

definitions_of_strimzi() {
    local kinds=(kafka.Kafka=kafka nodepool.KafkaNodePool=kafkanodepool topic.KafkaTopic=kafkatopic user.KafkaUser=kafkauser)
    if ! command -v mvn >/dev/null; then
        say "no Maven: Strimzi's definitions can't be had"
        return 0
    fi
    local jars=$work/strimzi-$strimzi one java
    java=$(java_21) || { say "no Java 21 or later: Strimzi's definitions can't be had"; return 0; }
    if [ ! -d "$jars" ]; then
        mkdir -p "$work/pom"
        cat > "$work/pom/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>quadrille</groupId><artifactId>definitions</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>io.strimzi</groupId><artifactId>api</artifactId><version>$strimzi</version></dependency>
    <dependency><groupId>io.strimzi</groupId><artifactId>crd-generator</artifactId><version>$strimzi</version></dependency>
  </dependencies>
</project>
POM
        if ! mvn -q -f "$work/pom/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars.part" >"$work/mvn.log" 2>&1; then
            say "io.strimzi:api:$strimzi can't be had: $(grep -m 1 ERROR "$work/mvn.log" | cut -c 1-200)"
            return 0
        fi
        mv "$jars.part" "$jars"
    fi
    for one in "${kinds[@]}"; do
        "$java" -cp "$jars/*" io.strimzi.crdgenerator.CrdGenerator --yaml --target-kube 1.25+ \
            "io.strimzi.api.kafka.model.${one%=*}=$work/definitions/strimzi-${one#*=}.yaml" >"$work/strimzi.log" 2>&1 ||
            say "Strimzi's generator fails for ${one%=*}: $(tail -n 1 "$work/strimzi.log")"
    done
}

if [ ! -x "$work/venv/bin/kubernetes-validate" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$kubernetes_validate"
fi
rm -rf "$work/definitions"
mkdir -p "$work/definitions"
definitions_of_modules
definitions_of_strimzi

for overlay in local production; do render "deploy/kubernetes/overlays/$overlay" > "$work/$overlay.yaml"; done
# production with the other way to scale
rm -rf "$work/by-lag"
mkdir -p "$work/by-lag"
mkdir -p "$work/by-lag/deploy" && cp -r deploy/kubernetes deploy/compose "$work/by-lag/deploy/"
sed -i 's|components/scale-by-cpu|components/scale-by-lag|' "$work/by-lag/deploy/kubernetes/overlays/production/kustomization.yaml"
render "$work/by-lag/deploy/kubernetes/overlays/production" > "$work/production-by-lag.yaml"
rm -rf "$work/by-lag"

"$work/venv/bin/python" deploy/kubernetes/validate.py --kubernetes "$kubernetes" --definitions "$work/definitions" \
    ${QUADRILLE_LENIENT:+--lenient} "$work/local.yaml" "$work/production.yaml" "$work/production-by-lag.yaml"
