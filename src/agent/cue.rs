//! Which read tools the words of a question point to, and which kind of object they name.

use super::{
    lexicon::Sense,
    route::Subject,
    scan::{Item, What},
    text::is_han,
    values,
};

/// The words of a message in lower case, however they were joined into phrases.
pub(super) struct Said {
    /// Latin words between single spaces, with a space at both ends.
    latin: String,
    /// Everything without white space.
    whole: String,
}

impl Said {
    /// Reads the words.
    pub(super) fn of(items: &[Item]) -> Self {
        let (mut latin, mut whole) = (" ".to_owned(), String::new());
        for item in items.iter().filter(|item| item.name().is_none()) {
            let text = item.text.to_lowercase();
            whole.extend(text.chars().filter(|c| !c.is_whitespace()));
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '\'');
            for word in words.filter(|word| !word.is_empty()) {
                latin.push_str(word);
                latin.push(' ');
            }
        }
        Self { latin, whole }
    }

    /// Whether one of the phrases, separated by `|`, occurs; Latin ones as whole words.
    pub(super) fn any(&self, phrases: &str) -> bool {
        phrases.split('|').any(|phrase| {
            if phrase.chars().any(is_han) {
                self.whole.contains(phrase)
            } else {
                self.latin.contains(&format!(" {phrase} "))
            }
        })
    }
}

const LOGS: &str = "writing|been writing|wrote|saying|been saying|记了啥|记了什么|记录了什么|写了啥|写了什么|说了啥|说了什么|发了啥|发了什么|打了啥|吐了啥|吐了什么|输出了啥|报了什么|tail|print|prints|printed|printing|output|outputs|lines|stdout|stderr|logged|logging|stack trace|exception|exceptions|日志|打印|输出|打了什么|堆栈";
const HAPPENING: &str = "happen|happened|happening|going on|been reported|reported|发生了什么|发生什么|发生过什么|出现过什么|什么动静|出过什么事|出过啥事|有什么事";
const TOUCHED: &str = "touched|commit|commits|who changed|who scaled|who edited|who modified|deployed|shipped|released|改了|动了|动过|改过|改动|变更|谁改|谁动|上线了什么|发布了什么|提交";
const CHANGED: &str = "change|changed|deploy|deployed|deployment|upgrade|upgraded|update|updated|scale|scaled|release|released|modified|edited|修改|变更|升级|降级|部署|上线|发布|扩容|缩容|改|动";
const WHEN: &str =
    "when|what time|at what time|how long ago|since when|什么时候|何时|多久前|哪天|几点";
const CONSUMING: &str = "eating|eats|eat|hog|hogs|hogging|hungry|hungriest|heaviest|consume|consumes|consuming|consumers|consumption|usage|utilization|utilisation|using|use|uses|used|busy|busiest|吃|占|消耗|用量|使用率|利用率|使用|用的|用了|用得|负载|水位";
const CLOSE: &str = "how close|how near|close to|near|nearing|approaching|exceed|exceeds|exceeding|over|hit|hits|hitting|enough|headroom|running out|run out|full|left|free|spare|接近|快到|超过|超出|够用|够不够|不够|剩|余量|空闲|快满|紧张|高不高|高吗|满";
const COMING_UP: &str = "come up|came up|coming up|rolled out|rolling out|roll out|rollout|finish|finished|done|complete|completed|converged|progress|doing|alive|up|up and running|ready|healthy|running|起来了|起来没|起来|哪一步|进度|活着|存活|完成|发完|就绪|正常|健康|状态|情况|怎么样|咋样|还好";
const SET_UP: &str = "描述|configured|configuration|config|settings|set to|set up|spec|manifest|yaml|describe|details|defined|definition|port|ports|expose|exposes|exposed|host|hosts|hostname|route|routes|points to|point to|schedule|scheduled|owner|owned by|owns|归谁|谁负责|谁管|label|labels|annotation|annotations|probe|probes|strategy|toleration|tolerations|selector|volume|volumes|mount|mounts|args|command|配置|详情|详细|端口|域名|指向|转发|路由|定时|几点跑|多久跑一次|标签|注解|探针|策略|挂载|参数|怎么设|设成|设为|设的";
const RUNS: &str = "跑着啥|跑着什么|跑了啥|跑了什么|在跑啥|在跑什么|跑些什么|跑些啥|都跑着|what runs|what is running";
const TO_LOOK_AT: &str = "look at|keep an eye|attention|worth a look|watch out|on fire|smoking|burning|冒烟|着火|要我看|要看的|要关注|要注意|盯一下|盯着";
const COUNTED: &str = "how many|count|number of|list|every|all|which|what|any|have|exist|exists|there|get|show|多少|几个|几台|几套|哪些|哪几个|列|有什么|都有|所有|全部|清单|有没有|存在";
const WELL: &str = "health|healthy|check|ok|okay|fine|alright|wrong|status|state|健康|正常|体检|巡检|状态|情况|怎么样|咋样|还好|没问题|稳定";
const AILING: &str = "怎么回事|咋回事|crashloopbackoff|crashlooping|imagepullbackoff|errimagepull|oomkilled|evicted|pending|unhealthy|broken|failing|not ready|unready|not running|stuck|没起来|起不来|没就绪|未就绪|不健康|异常|故障|挂了|不正常";

/// Kinds by the words for them, the more telling ones first.
#[rustfmt::skip]
const KINDS: &[(&str, &str)] = &[
    ("HorizontalPodAutoscaler", "自动扩缩|自动扩缩容|自动扩容|autoscaling|hpa|hpas|autoscaler|autoscalers|horizontalpodautoscaler|horizontalpodautoscalers|自动伸缩|弹性伸缩"),
    ("PodDisruptionBudget", "pdb|pdbs|disruption budget|disruption budgets|poddisruptionbudget|poddisruptionbudgets|中断预算"),
    ("PersistentVolumeClaim", "pvc|pvcs|volume claim|volume claims|persistentvolumeclaim|persistentvolumeclaims|存储卷声明|存储卷"),
    ("PersistentVolume", "pv|pvs|persistentvolume|persistentvolumes|持久卷"),
    ("NetworkPolicy", "netpol|network policy|network policies|networkpolicy|networkpolicies|网络策略"),
    ("ServiceAccount", "serviceaccount|serviceaccounts|service account|service accounts|服务账号|服务账户"),
    ("ResourceQuota", "resourcequota|resourcequotas|quota|quotas|配额"),
    ("StorageClass", "storageclass|storageclasses|storage class|storage classes|存储类"),
    ("RoleBinding", "rolebinding|rolebindings|role binding|role bindings|角色绑定"),
    ("ReplicaSet", "replicaset|replicasets|replica set|replica sets|rs"),
    ("StatefulSet", "statefulset|statefulsets|stateful set|stateful sets|sts|有状态应用|有状态服务"),
    ("DaemonSet", "daemonset|daemonsets|daemon set|daemon sets|ds|守护进程集"),
    ("CronJob", "on a schedule|scheduled|cronjob|cronjobs|cron job|cron jobs|cron|定时任务|定时跑|计划任务"),
    ("Job", "job|jobs|批处理任务"),
    ("ConfigMap", "configmap|configmaps|config map|config maps|cm|配置字典"),
    ("Secret", "secret|secrets"),
    ("Ingress", "ingress|ingresses|ing|which host|which hosts|hostname|hostnames|domain name|public url|reachable under|域名|对外地址|访问地址"),
    ("Deployment", "deployment|deployments|deploy|deploys|无状态应用"),
    ("Pod", "pod|pods|容器组"),
    ("Node", "node|nodes|machine|machines|server|servers|节点|机器"),
    ("Service", "svc|svcs|service|services"),
    ("Namespace", "namespace|namespaces|ns|命名空间|名字空间|名称空间"),
];

/// The kind a question names.
pub(super) fn kind(items: &[Item]) -> Option<&'static str> {
    let said = Said::of(items);
    let found = KINDS.iter().find(|(_, words)| said.any(words)).map(|(kind, _)| *kind);
    let spoken = || {
        items.iter().find_map(|item| match item.sense() {
            Some(Sense::Kind(kind)) => Some(kind),
            _ => None,
        })
    };
    // "which services are running" means programs; a namespace that is named is a place
    match found {
        Some("Service") if said.any("running|run|runs|deployed") => None,
        Some("Namespace") if items.iter().any(is_place) => spoken().filter(|k| *k != "Namespace"),
        Some(kind) => Some(kind),
        None => spoken(),
    }
}

fn is_place(item: &Item) -> bool {
    item.name().is_some_and(|name| name.namespace.is_some())
        || matches!(item.sense(), Some(Sense::Env(_)))
}

/// The tools a question needs, most telling first; empty when its words do not tell.
pub(super) fn tools(items: &[Item], subject: &Subject) -> Vec<&'static str> {
    let said = Said::of(items);
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let document = matches!(kind(items), Some("ConfigMap" | "Secret"));
    let events = has(Sense::Events);
    // "any warnings from x?" may be in its log as well
    let warnings = events && !said.any("event|events|事件") && !subject.workloads.is_empty();
    let logs = has(Sense::Logs) || warnings || said.any(LOGS) && !document && !has(Sense::EnvVar);
    let mut found = Vec::new();
    // "list every problem": nobody's logs, and the logs of nobody cannot be read
    let problems =
        has(Sense::Problem) && !named_anything(subject) && (has(Sense::All) || has(Sense::List));
    let nodes = kind(items) == Some("Node") && !has(Sense::Usage);
    let nodes = nodes && !named_anything(subject);
    let listed = said.any("what nodes|which nodes|how many nodes|哪些节点|几个节点|多少个节点");
    if problems || nodes && !listed && (has(Sense::Problem) || has(Sense::Status)) {
        return vec!["problems"];
    }
    if logs {
        found.push("pod_logs");
    }
    if events {
        found.push("events");
    }
    let usage = usage(items, subject, &said);
    if is_history(items, &said) && !usage {
        found.push("change_history");
    }
    if usage {
        found.push("resource_usage");
    }
    if found.is_empty() { by_subject(items, subject, &said) } else { found }
}

fn named_anything(subject: &Subject) -> bool {
    !subject.workloads.is_empty() || subject.other.is_some()
}

/// Whether a question asks what is wrong with a workload, or why.
pub(super) fn is_diagnosis(items: &[Item], subject: &Subject) -> bool {
    let said = Said::of(items);
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let names_a_system = has(Sense::Logs) || said.any(LOGS) || has(Sense::Events);
    !subject.workloads.is_empty() && !names_a_system && (has(Sense::Why) || is_ailing(items, &said))
}

/// Trouble with something; "close to its limit" and the like are about usage.
fn is_ailing(items: &[Item], said: &Said) -> bool {
    items.iter().any(|i| i.is(Sense::Problem)) && !said.any(CLOSE) || said.any(AILING)
}

fn is_history(items: &[Item], said: &Said) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let told = items.iter().filter(|i| i.is(Sense::Told)).map(|i| i.text.to_lowercase());
    let told = told.into_iter().any(|t| !t.contains("restart") && !t.contains("重启"));
    has(Sense::History)
        || has(Sense::LastChange)
        || told
        || said.any(TOUCHED)
        || said.any("who|谁") && said.any(CHANGED) && !has(Sense::Secret) && !has(Sense::Config)
        || said.any(WHEN) && said.any(CHANGED)
}

fn usage(items: &[Item], subject: &Subject, said: &Said) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let resource =
        has(Sense::Cpu) || has(Sense::Memory) || said.any("cpu|memory|mem|ram|内存|资源");
    let quota = matches!(kind(items), Some("ResourceQuota" | "LimitRange"));
    let bounds = has(Sense::Limit) || has(Sense::Request) || has(Sense::Config) || quota;
    let machines =
        kind(items) == Some("Node") || subject.other.as_ref().is_some_and(|o| o.0 == "Node");
    let tight = said.any(CLOSE);
    has(Sense::Usage) && (resource || machines || !said.any(COMING_UP))
        || resource && (said.any(CONSUMING) || tight || !bounds)
        || machines && (tight || said.any("capacity|allocatable|容量"))
}

/// The tools of a question whose words name no system: what it is about decides.
fn by_subject(items: &[Item], subject: &Subject, said: &Said) -> Vec<&'static str> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let named = !subject.workloads.is_empty();
    let other = subject.other.is_some();
    let restarts = has(Sense::Restart)
        || items.iter().any(|i| {
            let text = i.text.to_lowercase();
            i.is(Sense::Told) && (text.contains("restart") || text.contains("重启"))
        });
    if named && restarts {
        return vec!["rollout_status", "events"];
    }
    if named && said.any("containers|容器") {
        return vec!["describe_object"];
    }
    let pods = kind(items) == Some("Pod") && !said.any(SET_UP);
    if named && (pods || said.any("几个|几台|多少个|多少台|how many")) {
        return vec!["rollout_status"];
    }
    if named && said.any(HAPPENING) {
        return vec!["events"];
    }
    let scheduled =
        subject.workloads.iter().any(|w| matches!(w.kind.as_deref(), Some("CronJob" | "Job")));
    if scheduled && said.any(WHEN) {
        return vec!["describe_object"];
    }
    let variable = items.iter().any(|i| i.what == What::Unknown && values::is_env_key(&i.text));
    let bounds = has(Sense::Limit) || has(Sense::Request) || has(Sense::EnvVar) || variable;
    if (named || other) && (bounds || said.any(SET_UP)) {
        return vec!["describe_object"];
    }
    if named
        && said.any(COMING_UP)
        && !said.any(
            "which version|what version|which image|what image|哪个版本|什么版本|什么镜像|哪个镜像",
        )
    {
        return vec!["rollout_status"];
    }
    if named && (has(Sense::Config) || has(Sense::Image) || has(Sense::Container)) {
        return vec!["describe_object"];
    }
    if named && (has(Sense::Status) || has(Sense::Replicas)) {
        return vec!["rollout_status"];
    }
    if other {
        return vec!["describe_object"];
    }
    if named { Vec::new() } else { of_many(items, said) }
}

/// A question about no object in particular.
fn of_many(items: &[Item], said: &Said) -> Vec<&'static str> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    if has(Sense::Problem) || has(Sense::Why) || said.any(AILING) || said.any(TO_LOOK_AT) {
        return vec!["problems"];
    }
    if said.any(RUNS) {
        return vec!["list_objects"];
    }
    if said.any(HAPPENING) {
        return vec!["events"];
    }
    let things =
        kind(items).is_some() || has(Sense::Domain) || has(Sense::List) || has(Sense::Replicas);
    if things && (said.any(COUNTED) || !said.any(WELL)) {
        return vec!["list_objects"];
    }
    if has(Sense::Status) || said.any(WELL) {
        return vec!["problems"];
    }
    if has(Sense::All) || has(Sense::Namespace) {
        return vec!["list_objects"];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::{names::Names, scan::scan},
        domain::Inventory,
    };

    #[test]
    fn words_are_found_whole_and_han_anywhere() {
        let inventory = Inventory::default();
        let said = Said::of(&scan(
            "Which pods use the most memory? 哪个 节点满了",
            &Names::of(&inventory),
        ));
        for (phrases, found) in [
            ("pods", true),
            ("pod", false),
            ("most memory", true),
            ("节点", true),
            ("个节点", true),
            ("x|memory", true),
            ("emory", false),
        ] {
            assert_eq!(said.any(phrases), found, "{phrases}");
        }
    }
}
