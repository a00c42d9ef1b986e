//! The words kubemate knows in Chinese and English, each with the one sense it has in requests.
//!
//! Longer phrases win over shorter ones, so an idiom that contains a word of another sense (`为什么` contains `为`) is
//! listed with its own sense. Names of the inventory win over all of them.

use std::{collections::HashMap, sync::LazyLock};

/// What a word or phrase means in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sense {
    // verbs of changes
    Scale,
    Restart,
    Rollback,
    Undo,
    Upgrade,
    Set,
    Up,
    Down,
    Remove,
    Stop,
    Start,
    Need,
    /// A change that no tool can make.
    Unsupported,
    /// A verb of change in a form that tells or asks about it: restarted, restarting.
    Told,
    /// It was done before, or how it turned out.
    Done,
    /// Somebody else says or wants it.
    Reported,
    // amounts
    Double,
    Triple,
    Half,
    More,
    Fewer,
    Again,
    // nouns of changes
    Replicas,
    Counter,
    Image,
    EnvVar,
    Cpu,
    Memory,
    Request,
    Limit,
    Revision,
    Previous,
    LastChange,
    ThatChange,
    Namespace,
    Container,
    Kind(&'static str),
    Env(&'static str),
    EnvWord,
    // pointing
    It,
    Same,
    All,
    Others,
    Both,
    Everywhere,
    Or,
    Except,
    // structure
    To,
    By,
    From,
    In,
    On,
    Of,
    For,
    And,
    Then,
    But,
    Because,
    Object,
    // mood
    Not,
    If,
    IfPolite,
    Please,
    CanYou,
    Ability,
    Should,
    Ask,
    AskEnd,
    Look,
    Happened,
    Later,
    What,
    // topics of questions
    Logs,
    Events,
    Status,
    Usage,
    History,
    Problem,
    Config,
    List,
    Why,
    Domain,
    // talk
    Secret,
    Reveal,
    AuthFailure,
    SkipReview,
    Override,
    Approve,
    Yes,
    No,
    /// What follows is meant instead of what was said before.
    Correction,
    Greeting,
    /// Something to be written or translated: nothing in it is a request.
    Writing,
    Help,
    Filler,
}

/// The table. Phrases are lower case, separated by `|`; Latin phrases may hold spaces.
#[rustfmt::skip]
const TABLE: &[(Sense, &str)] = &[
    // ---- verbs of changes
    (Sense::Scale, "has to be scaled|needs to be scaled|must be scaled|should be scaled|多加几个副本|再加几个副本|多开几个副本|加几个副本|多几个副本|加几个|多加几个|多几个|再加几个|多开几个|再开几个|多起几个|再起几个|再来几个|needs scaling|needs to scale|needs scaling up|need scaling|开到|起到|弄到|拉到|would you mind scaling|mind scaling|scale|rescale|autoscale to|resize|scale out|scale in|扩容|缩容|扩缩容|扩缩|伸缩|扩|缩|弹到"),
    (Sense::Up, "放宽到|放宽|调到|多开|多起|scale up|spin up|fire up|increase|raise|bump up|bring up|grow|add|boost|turn up|ramp up|upsize|extend|增加|增大|加大|提高|提升|调高|调大|加|添|添加|追加|增|放大|上调|拉高|拉起|提到|加上"),
    (Sense::Down, "scale down|decrease|reduce|lower|shrink|cut|drop|bring down|turn down|trim|take off|downsize|减少|减小|降低|调低|调小|减|降|砍|收缩|缩减|下调|去掉几个"),
    (Sense::Restart, "踢一脚|踢一下|has to be restarted|have to be restarted|needs to be restarted|must be restarted|should be restarted|ought to be restarted|has to be bounced|needs restarting|needs a restart|needs a reboot|needs bouncing|need restarting|拉起一遍|would you mind restarting|mind restarting|restart|reboot|bounce|recycle|roll restart|rolling restart|rollout restart|relaunch|re-launch|do a restart|perform a restart|a restart|kick|cycle|重启|重新启动|滚动重启|重新拉起|重拉|重起"),
    (Sense::Rollback, "has to be rolled back|needs to be rolled back|must be rolled back|should be rolled back|needs rolling back|needs a rollback|would you mind rolling back|mind rolling back|roll back|rollback|roll-back|roll|revert|go back|back to the version before|back to the previous version|back to the previous one|back to the old version|back to the old one|back to the last version|back to the one before|back to how it was|back to what it was|switch back|回滚|回退|退回|恢复到|还原到|还原|退到|切回|rollout undo"),
    (Sense::Undo, "恢复成改之前的样子|改之前的样子|变回原样|还原成原样|撤了|撤掉|撤下|撤|改回去|改回来|退回去|还原回去|换回去|调回去|变回去|undo|take back|take that change back|take that back|take it back|take this change back|take this back|take the change back|put that back|put it back|撤销|撤回|撤消|取消刚才"),
    (Sense::Upgrade, "has to be upgraded|needs to be upgraded|must be upgraded|should be upgraded|has to be updated|needs to be updated|must be updated|needs upgrading|needs an upgrade|needs updating|would you mind upgrading|would you mind updating|mind upgrading|upgrade|downgrade|deploy|redeploy|release|ship|roll out|rollout to|upgrade to|升级|降级|升|部署|发布|上线|发版|升版|发个|发一版|发一下"),
    (Sense::Set, "point|try|set|setting|export|change|update|make|take|move|dial|put|modify|adjust|switch|edit|configure|use|move to|bump|give|assign|bring|run|pin|改|设|设置|设定|修改|调整|调|换|更换|更新|变更|变|切|切换|配|分配|赋值|指定|用|恢复"),
    (Sense::Remove, "不要了|不需要了|remove|unset|delete|drop the|get rid of|clear|erase|take out|删除|删掉|删|移除|去掉|去除|清除|取消设置|拿掉"),
    (Sense::Stop, "stop|shut down|shutdown|turn off|switch off|take down|停掉|停止|停|关掉|关闭|下线|停用"),
    (Sense::Start, "start|turn on|switch on|start up|启动|开启|起"),
    (Sense::Need, "should get|should both get|should all get|must get|needs to get|need|needs|want|wants|what i want|what we want|what i need|what we need|should run|should have|should be|would like|i'd like|require|requires|must have|must run|ought to have|needs to be|must|has to|have to|has to run|需要|想要|得有|应该是|应该有|要有|要"),
    (Sense::Unsupported, "里执行|里面执行|容器里跑|容器里执行|容器里面跑|容器里面执行|里面跑一下|里跑一下|open a shell|a shell in|shell access|bash into|exec into|开个终端|打开终端|进去执行|跑条命令|跑个命令|shell into|log into|log in to|port-forward|port forward|run a command|run a query|run sql|执行命令|执行 sql|进容器|进到容器|登录到|登进|端口转发|scp|chmod|chown|vacuum|create|install|uninstall|expose|cordon|uncordon|drain|exec|ssh|rename|migrate|taint|label|annotate|helm install|helm upgrade|kill|terminate|evict|destroy|wipe|purge|nuke|pause|suspend|resume|patch|grant|revoke|rotate|force delete|新建|创建|安装|卸载|暴露|驱逐|排空|重命名|迁移|授权|销毁|清空|杀掉|杀死|干掉|暂停|挂起|轮换|打标签|封锁"),
    (Sense::Told, "restarted|restarting|restarts|scaled|scaling|scales|scaled up|scaled down|rolled back|rolling back|reverted|upgraded|upgrading|deployed|deploying|deployment of|deployments of|released|changed|changes to|updated|updating|modified|set by|removed|deleted|reduced|increased|bounced|重启次数|重启记录|重启过|重启原因|重启情况|扩容过|扩过|缩过|回滚过|升级过|发布过|部署过|改过|更新过|变更过|修改过|被重启|被扩容|被缩容|被回滚|被改|被修改|被升级|自动重启|一直重启|总是重启|老是重启|反复重启|频繁重启|不停重启|不断重启|不停地重启|一直在重启|在重启|又重启了|刚重启|重启了几次|重启了多少|重启多少次|重启几次|扩容记录|变更记录|发布记录|回滚记录|修改记录|更新记录|发布历史|部署历史|变更历史|修改历史"),
    (Sense::Done, "升错了|改错了|扩错了|缩错了|设错了|发错了|弄错了|升错|改错|发错|already|was a mistake|was wrong|did not help|didn't help|did nothing|had no effect|没用|没有用|无效|不管用|没效果|没有效果|没起作用|是个错误|搞错了|已经|已|刚把|刚刚把|刚才把|早就|曾经|之前把|昨天把|昨晚把"),
    (Sense::Reported, "says|said|wrote|writes|posted|say to|suggests|suggested|recommends|recommended|told me|told us|tells|according to|they want|they wanted|someone wants|somebody wants|he wants|she wants|the docs|他们|他们想|他想|她想|有人|有人想|有人说|同事|同事说|客户|说|说要|说让|建议|提示|写着|写道|据说|听说"),
    // ---- amounts
    (Sense::Double, "double|twice|twice as many|twice the|2x|x2|翻倍|翻一番|加倍|翻番|翻一倍|扩一倍|扩大一倍|增加一倍|加一倍"),
    (Sense::Triple, "triple|three times|3x|x3|三倍|翻三倍"),
    (Sense::Half, "half|halve|in half|by half|half as many|减半|一半|砍半|对半"),
    (Sense::More, "再给|再要|再补|more|extra|additional|another|再加|多加|再增加|再添|再扩|再多|多|再来"),
    (Sense::Fewer, "away|fewer|less|再减|再减少|再缩|少"),
    (Sense::Again, "again|再"),
    // ---- nouns of changes
    (Sense::Replicas, "replica|replicas|replica count|instance|instances|copies|copy|pods|pod count|number of pods|number of replicas|replicacount|副本|副本数|副本数量|实例|实例数|个pod|个pods|pod数|pod数量|份"),
    (Sense::Counter, "个|台"),
    (Sense::Image, "image|images|tag|version|image tag|image version|container image|build|image to|镜像|版本|版|镜像版本|镜像标签|标签|版本号|镜像tag"),
    (Sense::EnvVar, "env|env var|env vars|environment variable|environment variables|variable|variables|env variable|envvar|环境变量|变量"),
    (Sense::Cpu, "cpu|cpus|cpu cores|processor|处理器|算力"),
    (Sense::Memory, "memory|mem|ram|内存"),
    (Sense::Request, "what it requests|what they request|what it asks for|request|requests|requested|requirement|reservation|请求|请求值|申请|申请值|预留"),
    (Sense::Limit, "allowed up to|may use up to|can use up to|at most|limit|limits|cap|maximum|ceiling|upper limit|limited|限制|上限|限额|最大值|限制值"),
    (Sense::Revision, "revision|commit|rev|提交"),
    (Sense::Previous, "the release before|the one before|the release before that|what it was before|what it was|how it was before|how it was|the way it was|as it was before|as it was|what they were before|之前的样子|原来的样子|previous|previous version|prior version|last version|last good version|previous revision|one version|the version before|earlier version|last known good|上一版|上个版本|上一个版本|前一个版本|之前的版本|之前版本|上一版本|前一版本|旧版本|老版本|原来的版本|上一次的版本|上次的版本|之前的状态|之前那个版本|原来的状态|以前的版本|之前|以前"),
    (Sense::LastChange, "last changes|latest changes|newest changes|most recent changes|latest commits|last commits|last change|latest change|most recent change|previous change|recent change|last update|last modification|last deployment|last deploy|last release|上次变更|上次修改|上次改动|最近一次变更|最近的变更|最近一次修改|上一次变更|上一次修改|上次的变更|上次的修改|上个变更|最后一次变更|上次发布|最近一次发布|最近的修改"),
    (Sense::ThatChange, "that change|this change|the change|my change|my last change|what you just did|what we just did|that last one|the change you made|what you did|刚才的变更|刚才的修改|刚才的改动|刚才那个变更|刚才那个|刚才那次|刚刚那个|刚刚的变更|刚刚的修改|刚才的操作|刚才的|刚刚的|这次变更|这个变更|那个变更|那次变更|刚才|刚刚"),
    (Sense::Namespace, "namespace|ns|-n|命名空间|名字空间|名称空间"),
    (Sense::EnvWord, "environment|environments|cluster|环境|集群"),
    (Sense::Container, "container|sidecar container|-c|容器"),
    (Sense::Kind("Deployment"), "deployment|deploy/|无状态应用"),
    (Sense::Kind("StatefulSet"), "statefulset|stateful set|sts|有状态应用"),
    (Sense::Kind("DaemonSet"), "daemonset|daemon set|守护进程集"),
    (Sense::Kind("CronJob"), "cronjob|cron job|定时任务"),
    (Sense::Kind("Job"), "job"),
    (Sense::Kind("Service"), "svc"),
    (Sense::Kind("Node"), "node|nodes|节点"),
    (Sense::Kind("Ingress"), "ingress|ingresses"),
    (Sense::Kind("ConfigMap"), "configmap|configmaps|config map|config maps|配置字典"),
    (Sense::Kind("PersistentVolumeClaim"), "pvc|pvcs|volume claim|存储卷"),
    (Sense::Kind("HorizontalPodAutoscaler"), "自动扩缩|自动扩缩容|自动扩容|autoscale|autoscales|autoscaling|hpa|hpas|autoscaler"),
    (Sense::Env("prod"), "prod|production|prd|prod env|production environment|生产环境|生产|线上环境|线上|正式环境|现网"),
    (Sense::Env("staging"), "staging|stage|stg|pre-prod|preprod|pre-production|预发布环境|预发环境|预发布|预发|预生产环境|预生产|准生产|准生产环境"),
    (Sense::Env("test"), "test|testing|qa|测试环境|测试"),
    (Sense::Env("dev"), "dev|development|开发环境|开发|研发环境"),
    (Sense::Env("drill"), "演练环境|演练"),
    (Sense::Env("dr"), "disaster recovery|灾备环境|灾备|容灾环境|容灾"),
    (Sense::Env("uat"), "uat|验收环境|验收"),
    // ---- pointing
    (Sense::It, "those|these|it|its|that|this|them|they|that one|this one|that service|this service|the same service|the same workload|the service|它|它们|他|这个|那个|该服务|这个服务|那个服务|此服务|这俩|那俩|这服务|这两个|那两个|其"),
    (Sense::Same, "same count|the same count|same number|the same number|same amount|same|the same|do the same|same thing|likewise|ditto|as well|too|also|same change|一样|同样|也|照做|同样操作|同样处理|一样处理|如法炮制|也这样|同上"),
    (Sense::All, "all|every|everything|all of|all the|each|entire|所有|全部|全都|每个|一切|整个"),
    (Sense::Both, "both|both of them|两个都|都|俩都"),
    (Sense::Everywhere, "all three environments|in all three environments|all the environments|三个环境|四个环境|三套环境|三个环境里|全环境|别的环境|其他环境|其它环境|其余环境|everywhere|in all environments|in every environment|in both environments|all environments|both environments|every environment|across all environments|in all namespaces|各环境|各个环境|所有环境|每个环境|全部环境|两个环境|两套环境|两边|多个环境|各命名空间|所有命名空间里"),
    (Sense::Or, "or|or maybe|either|或|或者|还是|或是"),
    (Sense::Except, "except|except for|excluding|other than|apart from|but not|besides|除了|除|以外|之外|不包括|排除"),
    (Sense::Others, "另一个|另外一个|另一边|the other one|others|other|anything else|the rest|everything else|else|rest|其他|其它|别的|其余"),
    // ---- structure
    (Sense::To, "onto|with the value of|with the value|with value|值是|值为|值设为|取值|的值是|回到|回|becomes|become|must be|should be|has to be|needs to be set to|shall be|to|up to|down to|at|=>|->|into|as|=|is now|到|成|为|至|到了|成了"),
    (Sense::By, "by"),
    (Sense::From, "from|instead of|rather than|从|由|自"),
    (Sense::In, "in|inside|within|在|里|里面|中|的里面|上"),
    (Sense::On, "on"),
    (Sense::Of, "of|的"),
    (Sense::For, "for|to the|对|对于|针对"),
    (Sense::And, "and|&|plus|和|与|跟|以及|及|还有|、|连同"),
    (Sense::Then, "while you are there|while you're there|while you are at it|while you're at it|while at it|then|so|and then|after that|afterwards|next|finally|first|并且|并|同时|然后|接着|随后|顺便|顺带|另外|再把|之后再|最后|首先|而且|且|还要|所以|因此"),
    (Sense::But, "but|however|但|但是|不过"),
    (Sense::Because, "because|since|as there|due to|so that|in order to|so we|cause|cuz|given that|因为|由于|为了|以便|以防|防止|鉴于"),
    (Sense::Object, "把|将|给|帮我把|请把|麻烦把|请将|帮忙把|给我把|替我把"),
    // ---- mood
    (Sense::Not, "is fine as it is|is fine as is|are fine as they are|instead of restarting|instead of scaling|rather than restarting|rather than scaling|by no means|under no circumstances|certainly not|definitely not|as it is|as they are|as is|the way it is|unchanged|hands off|nobody|no one|noone|none of you|stays as it is|stays as is|leave everything as it is|leave it as it is|leave things as they are|leave it alone|stay as they are|stay as it is|stays the same|remains unchanged|stays unchanged|untouched|谁都别|谁也别|大家别|都别|任何人不要|保持不变|保持原样|保持现状|维持现状|照旧|照原样|不变|维持原样|维持不变|没让|没叫|没说要|没有让|没要|不是要|不是让|不是说|不是叫|并不是|didn't ask|did not ask|not asking|don't|do not|dont|never|not|no need to|doesn't need|doesn't|shouldn't|should not|mustn't|must not|won't|stop from|without touching|hold off|avoid|refrain|leave|rather not|wait with|wait before|keep away|keep as is|keep it as is|keep as it is|keep it as it is|keep them as they are|keep everything|cancel|不要|别|先别|不用|不能|不许|不准|勿|请勿|暂时别|暂时不要|先不要|先不|不需要|千万别|避免|无需|不必|不得|禁止|停止对|取消|别再|不再|不想"),
    (Sense::If, "if|unless|in case|when|whenever|once|as soon as|until|only after|after|before|should it|provided|如果|要是|假如|假设|倘若|万一|一旦|若|除非|当|等到|等|的话|只有当|只有在|直到|以后|的时候|时再"),
    (Sense::IfPolite, "if you'd be so kind|if you would be so kind|when you have a moment|if you have a moment|when you have a minute|if you have a minute|once you have a minute|when you have a second|at your convenience|whenever you can|whenever you have time|when convenient|if possible|if you can|if you could|if that's ok|if it's ok|if you don't mind|when you can|when you get a chance|when you have time|when possible|once you can|if at all possible|as soon as possible|asap|before it gets worse|可以的话|方便的话|行的话|没问题的话|如果可以|如果可以的话|如果方便|如果方便的话|要是方便|有空的话|有空"),
    (Sense::Please, "be so kind and|be so kind as to|be so kind|be so good as to|right away|straight away|please|pls|plz|make it so that|make it so|make sure|make sure that|ensure|ensure that|see to it that|确保|保证|kindly|go ahead and|let's|lets|i need you to|i want you to|i would like you to|i'd like you to|we need to|i need to|i want to|we want to|we should|time to|just|quickly|请|麻烦|帮我|帮忙|劳烦|请帮我|帮|拜托|给我|快|赶紧|赶快|快点|马上|立刻|立即|需要把|我要|我想|我想把|我要把|好吗|好不好|行吗|行么|可以吗|可以么|好么|我想让|想把|要把|咱们把|让|使|替我"),
    (Sense::CanYou, "could we have|can we have|could i have|may i have|may we have|would it be possible to have|能不能有|能不能来|can you|could you|would you|will you|can u|could u|can we|could we|would you mind|can you please|could you please|can i get|could i get|can i have|any chance you could|能不能把|能把|可以把|可不可以把|能否把|能帮我|可以帮我|能不能帮我|可以帮忙|能帮忙|可不可以帮我|能否帮我|能给我|能不能给|能麻烦|可否把|可否将|能将|可否|请问能不能把|请问能把|请问可以把|能不能将|可以将"),
    (Sense::Ability, "can|could|may|might|maybe|perhaps|probably|也许|或许|大概|is it possible|is it ok|is it safe|is it fine|possible to|able to|can be|could be|能|可以|能不能|可不可以|能否|可能|会不会|能够|行不行|安全吗"),
    (Sense::Should, "should|should i|should we|shall i|shall we|do i need|do we need|ought|would it help|worth|will it help|要不要|该不该|应不应该|需不需要|是否需要|是否应该|应该|有必要|需要吗|用不用"),
    (Sense::Ask, "anything|what|which|who|whom|whose|where|how|how many|how much|how long|how often|how come|when was|when did|when is|when will|when were|when has|since when|is|are|was|were|does|do we|do you|do they|did|has|have the|has the|have any|have there|hasn't|isn't|aren't|didn't|doesn't it|wasn't|any|is there|are there|was there|were there|what's|whats|who's|how's|where's|does the|tell me|explain|do any|can you tell|could you tell|can you explain|can you show|could you show|can you check|could you check|can you list|could you list|can you look|could you look|can you see|can you find|could you find|can you describe|could you describe|can you get me|can you give me|could you give me|would you tell|could you explain|can you help me understand|can you help me see|do we have|do you see|do you know|wonder|wondering|curious|比较|对比|怎么|怎样|怎么样|如何|怎么回事|什么|哪|哪个|哪些|哪里|哪儿|哪几个|多少|几|几个|几次|几台|多久|多长时间|多大|多高|多不多|谁|何时|什么时候|啥|啥时候|咋|咋样|咋回事|是否|有没有|是不是|有无|有啥|有什么|请问|什么原因|何|多少次|是什么|为何|正不正常|能告诉我|能不能告诉我|可以告诉我|能看下|能看一下|能不能看|能不能看下|可以看下|可以看看|能查一下|能不能查|能查|能看|能不能说|能说说|能解释|能列|能不能列|可以列|可以查|帮我看看|帮我看下|帮我看一下|帮我查|帮我查一下|帮我查下|帮看下|帮忙看|帮忙看下|帮忙看看|帮忙查|知道|想知道|想看|想看看|想了解|了解|告诉我|给我看|给我看看|让我看|让我看看|给我列|给我查|给我说|我想看|我想知道|我要看"),
    (Sense::Why, "why|how come|root cause|reason|cause of|what caused|what's causing|caused|为什么|为何|为啥|原因|咋就|怎么会|怎么就|根因|怎么老是|怎么又|怎么一直|怎么总是|什么原因"),
    (Sense::AskEnd, "吗|么|呢|没有|没"),
    (Sense::Look, "show|show me|get|list|display|describe|look at|look into|check|check on|see|view|get me|give me the|find|find out|fetch|print|dump|tail|summarize|summarise|investigate|diagnose|debug|analyze|analyse|inspect|troubleshoot|compare|count|look up|report|monitor|review the|pull up|take a look|let me see|let me know|watch|search|query|看|看看|看下|看一下|看一看|查|查看|查下|查一下|查一查|查询|检查|检查一下|检查下|列出|列一下|列下|列举|显示|展示|打印|输出|分析|分析一下|分析下|排查|排查下|排查一下|诊断|诊断一下|定位|统计|总结|汇总|监控|搜索|搜一下|找|找出|找一下|找找|瞅瞅|瞧瞧|盘点|说说|说一下|介绍|解释|解释一下|拉一下|拉下|调出|捞一下|贴一下"),
    (Sense::Happened, "all the time|over and over|again and again|constantly|during the day|in the daytime|daytime|during the night|白天|夜里|前半夜|后半夜|half hour|half an hour|last half hour|the last half hour|in the last half hour|past half hour|半小时|半个小时|最近半小时|过去半小时|最近半个小时|yesterday|last night|this morning|last week|earlier|ago|an hour ago|recently|last time|overnight|past hour|last hour|in the past|in the last|over the last|today's|yesterday's|since yesterday|so far|昨天|昨晚|昨夜|前天|上周|今早|刚才为|之前的|最近|过去|凌晨|早些时候|上次|上一次|历史|近期|这几天|近一小时|最近一小时|今天早上|上午|半夜|昨日"),
    (Sense::Later, "周一|周二|周三|周四|周五|周六|周日|星期一|星期二|星期三|星期四|星期五|星期六|星期天|星期日|礼拜一|礼拜二|礼拜三|礼拜四|礼拜五|礼拜六|礼拜天|tomorrow|tonight|later|next week|this evening|at midnight|at noon|every day|every night|daily|every hour|on monday|on friday|o'clock|am|pm|during the night|on weekends|the weekend|weekend|over the weekend|next month|at night|明天|明早|今晚|稍后|晚点|待会|待会儿|等会|等会儿|过会儿|一会儿|下周|每天|每晚|每小时|定时|点钟|分钟后|小时后|半夜再|周末|下午|晚上|凌晨再|后天|下个月|到点"),
    (Sense::What, "what if|what happens if|what would happen|what will happen|how do i|how to|how can i|how should i|how would i|how do you|how do we|how can we|steps to|是怎么|怎么把|如何把|怎样把|怎么才能|如何才能|怎么给|如何给|会怎样|会怎么样|会发生什么|有什么影响|什么影响|有影响吗|会影响"),
    // ---- topics of questions
    (Sense::Logs, "log|logs|log lines|lines|stdout|stderr|stack trace|stacktrace|output of|error message|error messages|errors in|exception|exceptions|traceback|print out|日志|报错信息|错误日志|堆栈|报错|报什么错|打印了什么|输出了什么|异常信息|错误信息"),
    (Sense::Events, "event|events|warning events|warnings|事件|告警事件|警告事件|警告|warning"),
    (Sense::Status, "滚完了吗|滚完了|滚完|滚好了|完事了吗|跑着|在跑着|运行着|好了吗|好了没|好了没有|恢复了吗|恢复正常|起来没|in good shape|back to normal|recovered|status|state|health|healthy|ready|readiness|running|available|availability|rollout|progress|finished|done rolling|complete|completed|alive|up and running|up|how many pods|stuck|ok|fine|converged|roll-out|状态|健康|健康状况|就绪|正常|可用|存活|进度|完成|发布进度|发布情况|发布状态|运行情况|运行状态|滚动更新|跑得|跑起来|起来了|好了|上线了|发布完|发完|更新完|还好|卡住|几个副本|多少副本|多少个副本|在跑|在运行"),
    (Sense::Usage, "busiest|least busy|most loaded|least loaded|idle|最忙|最闲|busy|how busy|loaded|how loaded|under load|繁忙|忙不忙|忙吗|用的内存|用内存|用的cpu|用cpu|用的资源|用得最多|用的最多|usage|utilization|utilisation|consumption|consuming|consume|consumes|using|uses|resource usage|cpu usage|memory usage|hungry|heaviest|top|load|most memory|most cpu|how much memory|how much cpu|使用率|使用量|用量|占用|占了|利用率|资源使用|消耗|吃内存|吃|负载|用了多少|资源情况|水位|耗"),
    (Sense::History, "change log|changelog|history|changed|change history|who changed|who scaled|who restarted|who deployed|who updated|what changed|recent changes|last changed|last modified|last deployed|deploys|deploy history|changes|audit|when was|git log|commits|who touched|touched|谁改|谁动|谁部署|谁扩|谁重启|谁发|历史|历史记录|变更|变更记录|变更历史|改动|改动记录|改了什么|改了啥|改过|修改记录|修改历史|发布记录|发布历史|提交记录|动过|什么时候改|最近的变更|最近变更|谁升级|谁回滚"),
    (Sense::Problem, "坏了|坏掉|too small|too low|too high|too big|too tight|太小|太低|太大|太高|太紧|不够用|停电|断电|掉电|丢机器|丢了机器|少了机器|掉了机器|太慢|everything all right|everything alright|everything ok|everything okay|everything fine|everything in order|all good|short of something|一切正常|一切还好|都还好吗|缺什么|under pressure|pressure|memory pressure|disk pressure|out of disk|压力|磁盘压力|内存压力|怎么了|咋了|怎么啦|出啥事|啥毛病|what happened to|matter|the matter|up with|fix|repair|修复|修一下|修好|wrong|problem|problems|issue|issues|broken|failing|fail|fails|failed|failure|failures|unhealthy|not working|crash|crashes|crashing|crashed|crashloop|crashloopbackoff|crash looping|down|slow|error|errors|erroring|pending|oom|oomkilled|out of memory|evicted|flapping|degraded|unavailable|not ready|anomalies|anomaly|alert|alerts|trouble|bad|dying|died|dead|timing out|timeout|timeouts|imagepullbackoff|latency|unstable|hanging|hangs|on fire|outage|问题|异常|故障|毛病|不对劲|挂|挂了|崩|崩溃|崩了|失败|出错|出问题|有问题|不正常|不健康|不可用|超时|慢|变慢|很慢|卡|起不来|启动不了|启动不起来|拉不起来|报警|告警|错误|错误率|重启不了|不工作|宕机|宕|没起来|起不来了|出了什么|出事|哪里不对|抖动|延迟"),
    (Sense::Config, "描述|描述一下|描述下|config|configuration|configured|spec|manifest|yaml|describe|detail|details|settings|which image|what image|which version|what version|image is|env of|defined|definition|labels|annotations|probe|probes|配置|详情|详细信息|详细|清单|什么镜像|哪个镜像|什么版本|哪个版本|多少版本|版本是|镜像是|用的什么|定义|探针|规格"),
    (Sense::List, "list|list all|what services|which services|what workloads|which workloads|which deployments|what deployments|what pods|which pods|what namespaces|which namespaces|how many services|how many workloads|services|workloads|deployments|statefulsets|daemonsets|jobs|cronjobs|namespaces|inventory|what runs|what is running|what's running|哪些服务|哪些应用|哪些工作负载|哪些pod|哪些命名空间|有哪些|列表|清单列表|几个服务|多少服务|多少个服务|多少个pod|所有服务|都有什么|都有哪些|有什么服务|有什么"),
    (Sense::Domain, "repository|repo|仓库|代码库|service|services|app|application|apps|workload|pod|kubernetes|k8s|secret|secrets|container restarts|traffic|endpoint|endpoints|quota|hpa|服务|应用|工作负载|程序|系统|组件|业务|模块|进程|流量|配额|密钥列表|有哪些secret"),
    // ---- talk
    (Sense::Writing, "translate|translation of|translate this|in english please|rewrite|rephrase|paraphrase|proofread|compose|write me|write a|write an|draft an|draft a|翻译|翻译成|译成|译为|改写|润色|写一首|写首|写一段|写一篇|写个脚本|写一个脚本|造句|作一首"),
    (Sense::Secret, "password|passwords|passwd|passphrase|credential|credentials|api key|api keys|apikey|private key|access key|secret key|secret value|secret values|secret content|secret contents|token|kubeconfig|certificate key|密码|口令|密钥|凭证|凭据|私钥|令牌|访问密钥|secret的内容|secret内容|secret的值|secret明文|token值|明文"),
    (Sense::Reveal, "reveal|decode|decrypt|base64|leak|expose the|cat|plain text|plaintext|in clear|in the clear|value of|contents of|content of|解码|解密|明文|内容|值是|泄露|导出"),
    (Sense::AuthFailure, "authentication failed|auth failed|invalid token|token expired|expired|wrong password|password authentication|login failed|unauthorized|失效|过期|认证失败|密码错误|鉴权失败"),
    (Sense::SkipReview, "别审了|别审|不用审|不审了|不审|免审|没空审|往main提交|直接往main|直接进main|直接往主干|直接进主干|直接往主分支|往主干提交|往主分支提交|推到main|推到主干|merge it right away|merge right away|merge it yourself|merge it now|merge it immediately|self-merge|merge directly|自行合并|直接合并|立即合并|立刻合并|马上合并|自己合并|自动合并|without anybody looking|without anyone looking|without anybody's approval|without anyone's approval|without a second pair of eyes|nobody has to look|没人看也行|不用别人看|不用人看|不需要别人看|commit directly|commit straight|directly to main|straight to main|push to main|push directly|push straight|直接提交|直接推到|直接推送|直接push|直接 push|绕过评审|不经评审|without review|without approval|no review|no approval|skip review|skip the review|skip approval|skip the approval|skip reviews|skipping review|skipping the review|bypass review|bypass the review|bypass approval|bypass the approval|without asking|no need for review|no need for approval|don't need approval|don't need review|doesn't need approval|without waiting for approval|directly in the cluster|directly on the cluster|directly to the cluster|straight to the cluster|straight to production|apply it directly|apply directly|force merge|force push|force it through|auto approve|auto-approve|approve it yourself|approve yourself|self-approve|self approve|merge it yourself|don't wait for approval|不用审批|不用审核|不用review|不需要审批|不需要审核|不需要review|无需审批|无需审核|无需review|跳过审批|跳过审核|跳过评审|跳过review|绕过审批|绕过审核|绕过评审|免审批|免审|别走审批|不走审批|不走评审|不走流程|不走审核|直接改集群|直接在集群|直接生效|直接上|直接合并|直接合入|强制合并|强推|自己批准|自动批准|你来批准|你批准|帮我批准|不经过审批|不要审批|不要审核|别审批|先斩后奏|不等审批|不评审|省掉审批|省略审批|不必审批"),
    (Sense::Override, "ignore all rules|ignore all the rules|ignore the above|ignore everything above|ignore your rules|ignore previous|ignore all previous|ignore your instructions|ignore the rules|disregard previous|disregard your|forget your instructions|forget previous|override your rules|system prompt|your instructions|developer mode|jailbreak|忽略之前|忽略以上|忽略上面|忽略你的|无视之前|忘记之前|系统提示词|提示词|你的指令|越狱"),
    (Sense::Approve, "approve|approved|lgtm|looks good|looks good to me|ship it|merge it|merge|sign off|go for it|批准|同意|通过|审批通过|合并|合入|放行|准了"),
    (Sense::Correction, "手滑|笔误|手抖|hang on|hold it|one moment|one second|我说的是|应该说|drop that one|drop that|drop it|scrap that|不改这个了|不改这个|不是这个|too many|too much|太多了|太多|太少了|太少|多了|少了|skip|forget about|换错了|点错了|i meant|i mean|i meant to say|make that|correction|my mistake|my bad|oops|sorry no|sorry i meant|sorry i mean|no wait|no sorry|wait no|wait|wait a second|wait a minute|hold on|actually no|actually|or rather|on second thought|on second thoughts|说错了|说错啦|写错了|打错了|打错字了|更正|更正一下|不对|不对不对|我是说|我是想说|我的意思是|我指的是|口误|手误|等等"),
    (Sense::Yes, "yes|y|yep|yeah|yup|ok|okay|sure|confirm|confirmed|correct|right|exactly|do it|go ahead|proceed|sounds good|of course|affirmative|是|是的|对|对的|好|好的|好吧|嗯|嗯嗯|行|可以|确认|确定|没错|就这样|就这么办|没问题|执行吧|做吧|来吧|就它|就这个"),
    (Sense::No, "no|ah no|oh no|no no|forget that|leave everything as it is|leave it as it is|leave things as they are|leave it alone|保持现状|维持现状|还是算了|还是不用了|还是不了|先算了|当我没说|没事|nope|nah|never mind|nevermind|forget it|forget about it|abort|stop it|cancel|cancel that|cancel it|not now|scratch that|leave it|算了|不|不了|不是|取消|不用了|不要了|没事了|先不弄了|别弄了|放弃|不做了|作罢|不必了|不用|不要"),
    (Sense::Greeting, "morning|that was quick|that was fast|谢啦|谢谢啦|谢谢你|谢谢您|感谢感谢|多谢啦|辛苦啦|辛苦|thanks a lot|many thanks|thanks a bunch|thank you so much|thanks so much|great work|nice work|well done|take care|see you|have a nice day|good to know|got it|that helped|that helps|that worked|it helped|much appreciated|appreciate it|appreciated|帮大忙了|明白了|懂了|hi|hello|hey|good morning|good afternoon|good evening|howdy|hiya|yo|greetings|thanks|thank you|thx|ty|cheers|bye|goodbye|good night|well done|nice|great|cool|awesome|good job|你好|您好|嗨|哈喽|早上好|下午好|晚上好|早|谢谢|多谢|感谢|谢了|辛苦了|再见|拜拜|晚安|在吗|在么|厉害|不错|棒|好样的|牛"),
    (Sense::Help, "能干啥|都能干啥|你都能干啥|你都会啥|你会干啥|能做啥|你能做啥|都能做什么|what are you able to do|what are you good for|what can i ask|what can i ask you|your capabilities|show me what you can do|help|help me|what can you do|who are you|what are you|how do i use you|what do you do|how does this work|usage help|how can you help|what commands|你能做什么|你会什么|你是谁|你可以做什么|你能干什么|你能干啥|怎么用你|帮助|使用说明|有什么功能|你能帮我做什么|你会做什么|你都能做什么|怎么使用|有哪些命令"),
    (Sense::Filler, "if it is no trouble|if it's no trouble|hmm|hm|erm|er|ah|argh|ugh|一脚|保持|维持|同一个环境|同一环境|同环境|in the same environment|the same environment|same environment|今天起|即日起|从今天起|今后|从今往后|from now on|一把|一波|一手|好吃|where it is|where they are|那个样子|a bit|试试|试一下|试试看|keep|特别|区别|级别|类别|分别|性别|will do|is plenty|are plenty|plenty|is enough|are enough|enough|suffices|is sufficient|goes|go|each of|of them|of those|就够了|够了|就够|就行|就行了|就好|就好了|即可|足够|一遍|一下子|那条|这条|sorry|so sorry|pardon|pardon me|excuse me|apologies|my apologies|不好意思|抱歉|对不起|哎呀|哎|嗨呀|呃|额|那边|那里|back|kubectl|do|the|a|an|my|our|your|i|we|you|me|us|there|here|now|right now|currently|with|only|well|um|uh|oh|exactly to|total|in total|service's|each of|be|been|will|would|also please|and also|per|than|then please|let|认为|作为|以为|到底|遇到|收到|看到|达到|得到|一下|下|吧|啊|了|呀|哦|哈|我|我们|你|您|们|现在|目前|当前|一起|统一|一直|一些|成功|那|这|就|才|还|都要|大家|同学|老板|兄弟|亲|哥|姐|后|前|只|仅|只要|总共|一共|各|数|数量|值|量|是|有|要求|操作|执行|处理|进行|做|做个|做一次|一次|弄|搞|整|每|以|去|来|先|嗯那|至少|目标|上来|上去|下来|下去|起来|过来|回来|回去|线|期望|开|得|地|着|过|被|直接|重新|统统|第|从而|该|某"),
];

type Phrases = HashMap<&'static str, Vec<Sense>>;

static ENGLISH: LazyLock<Phrases> = LazyLock::new(|| phrases(false));
static CHINESE: LazyLock<Phrases> = LazyLock::new(|| phrases(true));

/// The most words an English phrase has.
pub(super) const LONGEST_ENGLISH: usize = 6;
/// The most characters a Chinese phrase has.
pub(super) const LONGEST_CHINESE: usize = 12;

fn phrases(chinese: bool) -> Phrases {
    let mut found = Phrases::new();
    for (sense, list) in TABLE {
        for phrase in list.split('|') {
            if phrase.chars().any(super::text::is_han) == chinese {
                found.entry(phrase).or_default().push(*sense);
            }
        }
    }
    found
}

/// The sense of an English phrase (words joined by one space); the first row that lists it decides.
pub(super) fn english(phrase: &str) -> Option<Sense> {
    ENGLISH.get(phrase)?.first().copied()
}

/// The sense of a Chinese phrase (which may hold Latin words without spaces: `个pod`).
pub(super) fn chinese(phrase: &str) -> Option<Sense> {
    CHINESE.get(phrase)?.first().copied()
}

/// Whether a phrase can also have this sense; what short replies (`ok`, `可以`, `cancel`) are read with.
pub(super) fn can_mean(phrase: &str, sense: Sense) -> bool {
    ENGLISH.get(phrase).or_else(|| CHINESE.get(phrase)).is_some_and(|all| all.contains(&sense))
}

/// The group a name of an environment or namespace belongs to: `production` and `shop-prod` are `prod`.
pub(super) fn environment_group(name: &str) -> Option<&'static str> {
    // names of environments that are too common, or too short, to mean one in a sentence
    const PARTS: [(&str, &str); 3] = [("live", "prod"), ("drill", "drill"), ("dr", "dr")];
    let lower = name.to_lowercase();
    let parts = || lower.split(['-', '_', '.', '/']);
    let named = PARTS.iter().find(|(said, _)| parts().any(|part| part == *said));
    if let Some((_, group)) = named {
        return Some(group);
    }
    let whole = english(&lower).or_else(|| chinese(&lower));
    let part = || {
        parts().find_map(|part| match english(part) {
            Some(Sense::Env(group)) => Some(group),
            _ => None,
        })
    };
    match whole {
        Some(Sense::Env(group)) => Some(group),
        _ => part(),
    }
}
