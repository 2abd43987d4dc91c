# SPDX-License-Identifier: GPL-3.0-or-later
"""Mandarin phrase families for :mod:`voicebot.intents`; text comes without punctuation."""

from __future__ import annotations

import re

Found = tuple[str, bool, float]

# Negative in form only. Taken out before negation is looked for.
_HARMLESS = re.compile(
    r"不要紧|没关系|没有关系|没问题|没有问题|没事儿?|没毛病|不客气|不用客气|别客气|不错|不好意思"
    r"|不用谢(?!谢)|(?:别|不要|不用)(?:着急|急|担心|误会|紧张|介意|害怕|慌|见外|挂|走|停"
    r"|误解)(?:断|电话)*"
    r"|先别(?!打|说|再|给|烦|推)|(?:不要|不用|不需要|别)(?:太|很|等太|花太"
    r"|说太)[^打烦吵]{0,3}(?:久|长|多|快|贵|麻烦|复杂|详细)"
    r"|不得不|不能不|差不多|要不然|要不(?!要)|(?:特|区|性|分|个|级)别(?![打再说来烦给推骚联发找])|别人|别的|别处"
    r"|不(?:就)?是吗|不懂就问|不一会儿?|不久|不过|不管|不但|不断"
)
# "It is not that I do not need it": neither yes nor no.
_DOUBLE_NEGATIVE = re.compile(
    r"(?:不是|没有|没说|不代表)(?:我)?(?:不需要|不要|不想|不用|不感兴趣|不愿意|没兴趣)"
)
# "A-not-A" asks; it does not deny.
_A_NOT_A = re.compile(
    r"要不要|需不需要|需要不需要|用不用|能不能|可不可以|可以不可以|行不行|好不好|是不是"
    r"|会不会|方不方便"
    r"|有没有|想不想|对不对|在不在|知不知道|要不了"
)
_TAG = (
    r"(?:行吗|好吗|可以吗|行不行|好不好|可以不|知道吗|懂吗|明白吗|听懂吗|听到吗|听见吗"
    r"|听到没有?|好吧|行吧|行么|好么|行嘛|好嘛)"
)

_ENDS_WITH_TAG = re.compile(_TAG + r"[啊呀哦]?$")
_ASKS = re.compile(r"(?:吗|么|嘛|呢|吧)$")
# "Is it free?": 不用钱, 不需要付费.
_FREE = re.compile(
    r"(?:不用|不要|不需要|不收|不)(?:另外|额外|再)?(?:付|花|交|出|给|掏|收)?(?:任何)?(?:钱"
    r"|费用?|费|手续费|押金|款)"
)

# Cannot be meant otherwise, question or not.
_STRONG = re.compile(
    r"(?:别|不要|不准|不许|不能|甭|莫|请勿|勿|少)(?:再|老|总|一直|天天|给我|跟我|向我|往我"
    r"|往我这儿?|老是|总是|随便|又|来)*"
    r"(?:打|拨|来电|来烦|烦|骚扰|打扰|推销|联系|发|说了|讲了|说话|废话|介绍|找我|吵|浪费"
    r"|啰嗦|缠|纠缠|忽悠)"
    r"|(?:把)?我?的?(?:号码|电话|手机号|信息|资料)(?:给)?(?:删|拉黑|注销|移除|去掉|拿掉|清除)"
    r"|(?:删除|删掉|移除|注销|清除)(?:掉)?我?的?(?:号码|电话|手机|信息|资料)"
    r"|拉黑|黑名单|退订|取消订阅|停止(?:拨打|来电|打|联系|推销|骚扰)|拒绝|拒接|谢绝|回绝"
    r"|(?:以后|今后|永远)(?:都|也)?(?:别|不要|不用|不许|不必)(?!忘|客气)"
    r"|不(?:接受|欢迎)(?:任何)?(?:推销|电话|营销|这种|你们|来电|服务)"
    r"|(?:快|赶紧|赶快|马上|立刻)?(?:给我)?(?:挂了吧|挂掉吧?|挂电话吧?)|我(?:要|先|就"
    r"|得)?挂(?:了|电话|断)|(?<!别)(?<!要)(?<!先)^挂了"
)
# Refuse unless the sentence asks.
_WEAK = re.compile(
    r"(?:不|没|没有|没啥|没什么|毫无|不太|不怎么|不是很|并不|真不|根本不|完全不|暂时不"
    r"|暂不|现在不|目前不|从来不)"
    r"(?:再|想|太|怎么|是很|打算)?(?:感)?(?:兴趣|需要|需求|意愿|想法|必要)"
    r"|不(?:想|愿意?|打算|准备|考虑|愿|会|肯)(?:再|去|要|继续|跟你|和你|跟你们|买|办|听"
    r"|了解|参加|谈|聊|说|加入|开通|接|订|用|做|弄|花|浪费|考虑|知道|试|浪费时间"
    r"|知道这)*(?:了|这|这个|这些|那个|它|你们|任何|电话|时间|推销)*"
    r"|不(?:听|买|办|办理|参加|加入|开通|报名|订|订购|搞|弄|做|玩|聊|谈|试)(?:了|这|这个"
    r"|那个|这些|这种|你|啦|的|$)"
    r"|不需|不用(?!户)|不必|用不着|用不上|用不到|甭|无需|没必要|没有必要|犯不着"
    r"|不要|不了$|不了(?:不|谢|再|啊|吧|我|了)|不了解了$|不行|不可以|不同意|不答应|不接受"
    r"|不配合|不好$|不成$"
    r"|免了|算了|还是算了|不稀罕|没(?:有)?兴致|兴趣不大|免谈|省省吧|没门|休想"
    r"|^不+(?:啊|呀|了|哦|谢谢|谢了|的)?$|^(?:不){2,}|^(?:no)+$|取消吧?$|^停$|^停停|^够了|受够了"
)
_HUMAN = re.compile(
    r"转(?:接)?(?:到)?(?:一下|下|个|去)?(?:人工|真人|客服|坐席)|人工(?:客服|服务|坐席|台"
    r"|电话)?|真人(?:客服|服务|接听|来)?"
    r"|(?:找|叫|换|让|喊|接|要|跟|和|请|给我)(?:一下|下|一个|个|你们|你们的|位)*(?:客服"
    r"|真人|活人|负责人|经理|领导|主管|专人)"
    r"|(?:换|叫|找)(?:一)?个人(?:来|跟|和|说|讲|接|$)|(?:能|可以|想)(?:跟|和)(?:真?人"
    r"|活人)(?:说|聊|讲|谈)"
)
_NO_HUMAN = re.compile(
    r"(?:不用|不要|不需要|别|不想|不必|没|不是要|无需)(?:再)?(?:转|找|叫|接)?(?:人工|真人|客服)"
)
_NO_ROBOT = re.compile(
    r"(?:不要|不想(?:跟|和)|不用|别用|不跟|不和|别让|不需要|不想要|不愿意?(?:跟"
    r"|和))(?:你们?)?(?:这个|个)?"
    r"(?:机器人|机器|ai|智能)(?:说话|聊天|说|聊|讲|谈)?"
)
_ROBOT_QUESTION = re.compile(
    r"(?:是|是不是|不是|难道是|该不会是|你|到底是)(?:一?个|真的|真)?(?:真人|人工"
    r"|人)?(?:还是)?(?:一?个)?(?:智能|ai|语音)?"
    r"(?:机器人?|ai|录音|电脑|人工智能|智能语音|自动语音)(?:的|在说话|打的|打来的"
    r"|来的)?(?:吗|吧|么|嘛|啊|呀|呢|对吗|是吗|不是|$)"
    r"|(?:是|是不是)(?:个)?(?:真人|活人|人工|真的人)(?:的|在说话|打的)?(?:吗|吧|么|嘛|啊"
    r"|呀|还是|呢|$)|(?:真人|人工?)还是(?:机器|ai|录音|电脑)"
    r"|机器人?还是(?:真?人|人工)|你是人吗|是人是机器|你是人还是"
)
_WRONG = re.compile(
    r"打错|拨错|错号|号码错|弄错(?:人|号)|搞错(?:人|号)|找错人|认错人|不是(?:他|她|本人"
    r"|机主|这个人)"
    r"|(?:没有?|没)这个人|不认识(?:他|她|这个人|这人)|(?:他|她|机主)不在|我不(?:是"
    r"|姓)[^不要想用]{1,4}(?:先生|女士|小姐|本人)|你找错"
)
_COMPLAINT = re.compile(
    r"投诉|举报|曝光|工信部|消协|消费者协会|12315|12321|12300|打?消费者|起诉|告你|报警"
)
_HARASSED = re.compile(
    r"骚扰|烦死|烦不烦|别再|再打(?:就|我|你|电话)|又打|天天打|老打|老是打|总打|总是打|一直打|没完没了"
    r"|有完没完|吵死|扰民|怎么又是你们"
)
_ABUSE = re.compile(
    r"滚(?:蛋|开|吧|远|$|啊)|傻[逼比叉b]|神经病|有病(?:吧|啊|$)|脑残|混蛋|王八|妈的|他妈"
    r"|去死|骗子|变态|白痴|垃圾电话"
)
_LATER = re.compile(
    r"不(?:太|大|是很|怎么)?方便|没(?:有)?(?:时间|空|功夫|工夫)|不得空|(?:在|要|去|正在"
    r"|马上|还在|正)(?:开车|开会|上班|上课|忙|吃饭|工作|外面|路上|睡觉|医院|地铁|飞机|高铁"
    r"|出差|考试|加班|休息|午休|做饭|带孩子)"
    r"|开车呢|开会呢|忙着|很忙|有点忙|有事|(?:晚点|晚些|晚一点|迟点|迟些|待会儿?|等会儿?"
    r"|等一会儿?|过会儿?|过一会儿?|一会儿?|回头|改天|改日|下次|下回|明天|后天|下午|晚上"
    r"|下周|周末|过几天|过两天|换个时间|另外找时间|中午|上午)"
    r"(?:的时候)?(?:你|您|请)?(?:再|在|来|给|打|说|联系|聊|吧|行|可以|有空|方便)"
    r"|以后再(?:说|聊|谈|联系)|再说吧|晚点吧|改天吧|下次吧|回头吧|等会儿?吧|现在不行"
    r"|这会儿不行|忙$|^忙|^改[天日]$"
)
_REPEAT = re.compile(
    r"(?:没|没有|听|听得)(?:太|怎么|大)?(?:听)?(?:清|不清|见|懂|明白|到)(?:楚)?|再(?:说|讲"
    r"|重复|来)(?:一)?(?:遍|次|下)|重(?:说|复)(?:一)?(?:遍|下|次)?"
    r"|大(?:点)?声|大声|说慢|慢(?:一)?点(?:说|儿|$)|你说什么|说的?(?:是)?啥|什么来着"
    r"|听不[清见懂到]|声音太?小|信号不好|^什么$|^啥$|^嗯嗯?什么"
)
_QUESTION = re.compile(
    r"什么|多少|怎么|哪|为什么|为啥|干嘛|干吗|干啥|啥|几[个天次点块号分]|谁|吗$|么$|吗|呢$"
    r"|是不是|要不要|需不需要|用不用|能不能|有没有|可不可以|会不会"
    r"|收费|费用|价格|价钱|要钱|贵不贵|优惠|多长时间|多久|如何|详细(?:说|讲|介绍)"
    r"|介绍一下(?:吧)?|具体|真的假的|免费(?:的)?吧|区别|地址|号码是|从哪"
)
_ASKS_MORE = re.compile(
    r"什么|多少|怎么|哪|为什么|为啥|干嘛|干吗|干啥|啥|几[个天次点块号分]|谁|收费|费用|价格"
    r"|要钱|多久"
)
_GREETING = re.compile(
    r"^(?:喂|你好|您好|哎|诶|哈喽|嗨|早上好|上午好|下午好|晚上好|在的?|hello|hi|嗯|啊|您讲"
    r"|唉|哦){1,4}(?:啊|呀|吗)?$"
)
_BACKCHANNEL = re.compile(r"^(?:嗯|恩|哦|噢|喔|啊|呃|额|唔|哎|诶|唉|那个|这个|哼)+$")
_YES = re.compile(
    r"可以|好的|好啊|好呀|好吧|好嘞|^好+$|^好[，]?(?:谢谢|你说|您说|的)|行啊|行吧|行的"
    r"|^行+$|没问题|没有问题|没事|没关系|不要紧|方便|有兴趣|感兴趣|有时间|有空|需要"
    r"|^是+的?$|是的|对的|^对+(?:啊|呀|的)?$|没错|同意|愿意|想(?:要|了解|听|知道|办|试"
    r"|参加)|要的|^要$|我要|说吧|(?<![跟和对听])[你您]说|讲吧|你讲|请讲|请说|继续|当然|成$|中$|ok|没毛病"
    r"|不错|了解一下|听听|试试|介绍"
    r"|嗯(?:好|可以|行|对|是|说|你)|^(?:嗯|恩){1,3}$|明白|知道了|收到|谢谢|太好了|来吧"
    r"|开始吧|办(?:一)?(?:个|下|吧)|参加|报名|开通|成吧|那行|那好|好了|着急|客气|担心"
)
_LONG = 12  # characters: a longer yes says so first or last; elsewhere the words are talk
_LEAD = re.compile(r"^(?:喂|你好|您好|嗯|恩|哦|啊|呃|哎|那个|那)+")
_NOT_YES = re.compile(
    r"不知道|不清楚|不确定|不一定|不明白|不懂|不了解|不好说|没想好|没想|不是|没有|不太"
    r"|看情况|再想想|考虑考虑|想想|不"
)

# Families by toneless pinyin, three syllables or more so that a chance homophone is unlikely.
_BY_PINYIN: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("human", False, ("zhuan ren gong", "zhuang ren gong", "zhuan zhen ren", "ren gong ke fu",
                      "ren gong fu wu", "zhao ren gong", "zhuan ke fu")),
    ("refusal", True, ("bu xu yao", "bie da le", "bie zai da", "bu yao da", "bu yao zai da",
                       "mei xing qu", "mei you xing qu", "bu gan xing qu", "bu yong le",
                       "yong bu zhao", "bu xu yao le", "la hei wo", "bie sao rao", "bu yao le",
                       "bu xiang ting", "bu kao lv", "bie zai lai")),
    ("wrong_number", False, ("da cuo le", "ni da cuo")),
    ("complaint", False, ("yao tou su", "tou su ni")),
    ("later", False, ("zai kai che", "zai kai hui", "bu fang bian", "mei shi jian")),
    ("robot_question", False, ("shi ji qi ren ma", "bu shi ji qi ren")),
    ("repeat", False, ("ting bu qing", "mei ting qing", "zai shuo yi")),
)  # fmt: skip


def classify(text: str) -> Found | None:
    """``text`` without spaces and punctuation, lower case -> (intent, refused, score)."""
    if not text:
        return None
    return _by_words(text)


def _by_words(text: str) -> Found | None:
    if _BACKCHANNEL.search(text):
        # "嗯" answers a yes/no question; the dialogue decides by its state.
        return ("yes", False, 0.6) if set(text) <= set("嗯恩") else ("backchannel", False, 1.0)
    plain = _DOUBLE_NEGATIVE.sub("不是", text)
    plain = _A_NOT_A.sub("?", _HARMLESS.sub("~", plain))
    complains = _COMPLAINT.search(text) is not None
    harassed = _HARASSED.search(text) is not None
    if _ABUSE.search(text):
        return "abuse", True, 1.0
    if _NO_ROBOT.search(plain) and not _STRONG.search(plain):
        wants = _HUMAN.search(_NO_ROBOT.sub("", plain))
        return ("human", False, 1.0) if wants else ("refusal", True, 1.0)
    if complains:
        return "complaint", harassed or _refuses(plain), 1.0
    if _NO_HUMAN.search(plain) and not _STRONG.search(plain):
        rest = _NO_HUMAN.sub("", plain)
        return ("refusal", True, 1.0) if _refuses(rest) else None
    if _refuses(plain):
        return "refusal", True, 1.0
    if _ROBOT_QUESTION.search(text):
        return "robot_question", False, 1.0
    if _HUMAN.search(plain):
        return "human", False, 1.0
    if harassed:
        return "complaint", True, 0.9
    if _WRONG.search(text):
        return "wrong_number", False, 1.0
    sound = _by_sound(plain)
    if sound is not None:
        return sound
    return _rest(text, plain)


def _rest(text: str, plain: str) -> Found | None:
    if _REPEAT.search(text):
        return "repeat", False, 1.0
    if _LATER.search(plain):
        asks = _ASKS_MORE.search(text)
        return ("question", False, 0.6) if asks else ("later", False, 1.0)
    if _GREETING.search(text):
        return "greeting", False, 1.0
    if _FREE.search(text) or _QUESTION.search(text) or "?" in plain:
        return "question", False, 1.0
    if _NOT_YES.search(plain):
        return None
    if _agrees(text):
        return "yes", False, 0.6 if len(text) == 1 else 1.0
    return None


def _agrees(text: str) -> bool:
    """Somebody who tells a story has not agreed, whatever words are in it."""
    if len(text) <= _LONG:
        return _YES.search(text) is not None
    bare = _LEAD.sub("", text)
    return bool(_YES.match(bare)) or any(m.end() >= len(bare) - 1 for m in _YES.finditer(bare))


def _refuses(plain: str) -> bool:
    if _STRONG.search(plain):
        return True
    tagged = _ENDS_WITH_TAG.search(plain)
    bare = plain[: tagged.start()] if tagged else plain
    bare = _FREE.sub("$", bare)
    if not _WEAK.search(bare):
        return False
    # "不需要办卡吗" asks; "不用了好吗" refuses politely.
    return bool(tagged) or not (
        _ASKS.search(bare) and not re.search(r"(?:了|不用|不要|不需要)吧$", bare)
    )


def _by_sound(text: str) -> Found | None:
    # Its tables take half a second: not at the start of every command. A dialer process has
    # them before its first call, since the wording check of a Mandarin script loads them.
    from pypinyin import lazy_pinyin

    sound = f" {' '.join(_syllable(s) for s in lazy_pinyin(text))} "
    for intent, refused, phrases in _BY_PINYIN:
        for phrase in phrases:
            at = sound.find(f" {phrase} ")
            if at < 0:
                continue
            if refused and sound.rstrip().endswith((" ma", " qian", " fei")):
                continue  # sounds like a question about money or need
            return intent, refused, 0.9
    return None


def _syllable(syllable: str) -> str:
    return "lv" if syllable in ("lü", "lu:") else syllable
