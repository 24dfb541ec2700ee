//! The objects in `deploy/kubernetes/session3.yaml` have the types of Kubernetes, and agree with
//! each other, with the program and with the image.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;
use session3_test_program::session3;

use super::read;

/// Returns the objects of the file, by their kind.
fn objects() -> BTreeMap<String, Value> {
    let text = read("kubernetes/session3.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let of_kind = |object: Value| (object["kind"].as_str().unwrap().to_owned(), object);
    objects.into_iter().map(of_kind).collect()
}

/// Returns an object as its type. A field that the type does not have is an error, since it is
/// missing when the object is written again.
fn typed<T>(object: &Value) -> T
where
    T: k8s_openapi::Resource + serde::de::DeserializeOwned + serde::Serialize,
{
    assert_eq!(object["apiVersion"], T::API_VERSION);
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), object);
    typed
}

fn deployment() -> Deployment {
    typed(&objects()["Deployment"])
}

fn pod() -> PodSpec {
    deployment().spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let [container] = <[_; 1]>::try_from(pod().containers).unwrap();
    container
}

#[test]
fn every_object_has_the_type_of_kubernetes() {
    let mut objects = objects();
    let mut take = |kind: &str| objects.remove(kind).unwrap();
    typed::<Secret>(&take("Secret"));
    typed::<Deployment>(&take("Deployment"));
    typed::<Service>(&take("Service"));
    typed::<PodDisruptionBudget>(&take("PodDisruptionBudget"));
    typed::<NetworkPolicy>(&take("NetworkPolicy"));
    assert!(objects.is_empty(), "{objects:?}");
}

#[test]
#[should_panic = "left == right"]
fn a_wrong_field_is_noticed() {
    let mut object = objects()["Deployment"].clone();
    object["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = Value::Bool(true);
    typed::<Deployment>(&object);
}

#[test]
fn the_objects_select_the_same_pods() {
    let objects = objects();
    let labels = deployment().spec.unwrap().template.metadata.unwrap().labels;
    let selectors = [
        deployment().spec.unwrap().selector.match_labels,
        typed::<Service>(&objects["Service"]).spec.unwrap().selector,
        typed::<PodDisruptionBudget>(&objects["PodDisruptionBudget"])
            .spec
            .unwrap()
            .selector
            .unwrap()
            .match_labels,
        typed::<NetworkPolicy>(&objects["NetworkPolicy"])
            .spec
            .unwrap()
            .pod_selector
            .unwrap()
            .match_labels,
    ];
    for selector in selectors {
        assert_eq!(selector, labels);
    }
    let secret: Secret = typed(&objects["Secret"]);
    let volumes = pod().volumes.unwrap();
    let named = volumes[0].secret.as_ref().unwrap().secret_name.clone();
    assert_eq!(named, secret.metadata.name);
    assert!(secret.string_data.unwrap().contains_key("password"));
}

#[test]
fn the_pods_have_no_rights_that_they_do_not_need() {
    let pod = pod();
    assert_eq!(pod.automount_service_account_token, Some(false));
    let context = pod.security_context.unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    // The user of the image.
    let user = format!(
        "USER {}:{}\n",
        context.run_as_user.unwrap(),
        context.run_as_group.unwrap()
    );
    assert!(read("docker/Dockerfile").contains(&user));
    let context = container().security_context.unwrap();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
}

/// Kubernetes asks the address of the metrics, and stops a server only when it may be stopped.
#[test]
fn the_probes_ask_what_the_server_answers() {
    let container = container();
    let ports = container.ports.unwrap();
    let dockerfile = read("docker/Dockerfile");
    for (name, option) in [
        ("http", "--listen=0.0.0.0"),
        ("metrics", "--metrics=0.0.0.0"),
    ] {
        let port = ports.iter().find(|port| port.name.as_deref() == Some(name));
        let option = format!("\"{option}:{}\"", port.unwrap().container_port);
        assert!(dockerfile.contains(&option), "{option}");
    }
    for (probe, path) in [
        (container.liveness_probe, "/healthz"),
        (container.readiness_probe, "/readyz"),
    ] {
        let get = probe.unwrap().http_get.unwrap();
        assert_eq!(get.path.as_deref(), Some(path));
        assert_eq!(get.port, IntOrString::String("metrics".into()));
    }
    let pause = container.lifecycle.unwrap().pre_stop.unwrap();
    let pause = pause.sleep.unwrap().seconds;
    let grace = pod().termination_grace_period_seconds.unwrap();
    // Twice the default of --timeout.
    assert!(pause > 0 && grace >= pause + 20 + 5);
}

/// The program knows the options, and fails only because there is no such store here.
#[test]
fn the_program_understands_its_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let component = directory.path().join("application.wasm");
    std::fs::write(&component, session3_components::DEMO).unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "replace-me").unwrap();
    let arguments = container().args.unwrap().into_iter().map(|argument| {
        argument
            .replace("/run/secrets/session3/password", password.to_str().unwrap())
            .replace("redis.example.com", "127.0.0.1:1")
    });
    let output = session3()
        .arg("serve")
        .arg(&component)
        .args(["--grant=admin", "--port=0"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}
