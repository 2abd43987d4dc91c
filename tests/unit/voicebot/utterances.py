# SPDX-License-Identifier: GPL-3.0-or-later
"""Labelled utterances, as a recognizer writes them: without punctuation.

A label with ``!`` also refuses. Lines of one family stand together.
"""

from __future__ import annotations

ZH: dict[str, str] = {
    "refusal!": """
        不需要 我不需要 真的不需要 不需要谢谢 谢谢不需要 不用 不用了 不用了谢谢 不用谢谢
        谢谢不用了 好的不用了
        嗯不用了 不要 不要了 我不要 不要谢谢 都说了不要 不必了 用不着 没必要 没兴趣 我没兴趣
        没有兴趣 不感兴趣
        我对这个不感兴趣 没什么兴趣 没有需要 没需求 暂时不需要 暂时没有需求 现在不需要 不想听
        我不想听 不想了解
        不想要 不考虑 暂时不考虑 不想办 不办 我不办 不买 我不买 不参加 不了 不了谢谢 不了不了
        不行 不可以
        不 不不不 不啊 不谢谢 算了 算了吧 还是算了 免了 别打了 别再打了 不要再打了 别再打来了
        不要再打过来了
        别给我打电话 不要给我打电话 以后别打了 以后不要再打了 请不要再打了 请勿再打 别打给我
        不许再打
        别再来电 别来烦我 别烦我 别骚扰我 不要骚扰我 别联系我 不要再联系我 别再联系了 别推销了
        别说了 不要再说了
        不要发短信 拉黑 拉黑我 把我拉黑 退订 我要退订 取消订阅 拒绝 我拒绝 停止拨打 停止打电话
        删除我的号码
        把我的号码删了 我挂了 我要挂了 挂了吧 我先挂了 拜拜我挂了 不需要别打了 不用了好吗
        别打了行吗 不要再打了可以吗 别再打了听到没有
        好的不需要 可以不用了 嗯嗯不需要 你好不需要 喂不需要 那个不用了吧 没兴趣谢谢再见
        我说了我不需要
        不需要这个 我们不需要 家里不需要 不需要会员 不想办会员 不想浪费时间 我不想跟机器人说话
        不要机器人
        没时间别打了 在忙不需要 不用了以后再说 不许要 不须要 憋打了 别大了 布需要 不感性趣
        没性趣 用不找
        不接受推销 不想接这种电话 不同意 不愿意 甭打了 少打 不太需要 不是很感兴趣 并不需要
        没意愿 够了 停
    """,
    "abuse!": "滚 滚蛋 滚开 神经病 傻逼 骗子 有病吧 去死",
    "complaint!": """
        我要投诉别再打了 投诉你们骚扰 再打我就报警 你们天天打我要举报 怎么又打 天天打烦死了
        有完没完 再打就投诉
    """,
    "complaint": "我要投诉 投诉 我要举报 怎么投诉 我要投诉你们 要头诉 我要偷诉",
    "human": """
        转人工 人工 人工客服 请转人工 我要转人工 帮我转人工 转接人工 转一下人工 人工服务 找人工
        我要人工 真人 找真人 转真人
        我要找客服 转客服 找客服 叫你们经理来 找你们负责人 换个人来 换真人 我想跟真人说 专人工
        赚人工 转任工 砖人工
        要人工服务 给我转人工客服 有人工吗 能不能转人工 可以转人工吗 不要机器人我要人工
        别用机器人转人工
    """,
    "yes": """
        可以 好 好的 好啊 好的可以 可以啊 行 行啊 行吧 方便 方便的 方便你说 现在方便 有时间 有空
        有空你说 需要 我需要 有兴趣
        我有兴趣 感兴趣 挺感兴趣的 嗯 嗯嗯 嗯好 嗯可以 嗯行 对 对的 是 是的 没错 没问题 没关系
        不要紧 没事 没事你说 没关系你说
        不要紧你说吧 别着急慢慢说吧 不用着急你说 不客气 不错 你说 您说 说吧 请讲 请说 继续
        好你说 想了解 我想了解一下 了解一下
        当然 当然可以 同意 愿意 想参加 我要 我要参加 办一个 听听看 好的谢谢 明白 知道了 ok
        没毛病你说 别担心你说吧 别挂你说 先别挂我想听
        可以啊你说吧我现在正好有时间 喂你好可以的你慢慢讲我听着 我现在在家里呢你说吧
    """,
    "later": """
        晚点再打 晚点打给我 晚点吧 一会儿再打 等会儿再说 过会儿再打 回头再说 改天 改天再说
        改天吧 下次再说 下次吧 以后再说 以后再说吧
        明天再打 明天打给我 下午再打 晚上再打吧 在开车 我在开车 正在开车 我在开会 正在开会 在忙
        我在忙 现在很忙 现在不方便 不方便 不太方便
        我不方便 没时间 我没时间 没空 现在没空 没有时间 在上班 在吃饭 我在外面 有事 我现在有事
        再开车 在开惠 等一会儿再打来 过两天再说
    """,
    "question": """
        什么事 什么服务 什么公司 多少钱 要多少钱 要钱吗 收费吗 怎么收费 费用是多少 多久
        要多长时间 怎么办理 在哪里 哪里的公司 哪位 你是谁 你是哪位
        有什么优惠 是免费的吗 免费吗 不要钱吗 不用钱吗 不需要付费吗 不收费吗 不用付钱吧
        需要办卡吗 要不要钱 需不需要付费 不需要身份证吗
        是不是要钱 什么会员 介绍一下 具体是什么 为什么打给我 怎么知道我号码的 什么时候 价格多少
        有没有优惠 能不能便宜 这是什么活动 干嘛的
    """,
    "robot_question": """
        你是机器人吗 你是机器人 你是不是机器人 是机器人吗 是机器人吧 你是真人吗 是真人吗
        你是人工吗 你是人还是机器 真人还是机器人 是录音吗 你是ai吗 你不是真人吧 是机器人在说话吗
    """,
    "wrong_number": """
        打错了 你打错了 你打错电话了 打错电话了 拨错了 找错人了 你找错人了 我不是本人
        不认识这个人 搞错人了 号码错了 大错了
    """,
    "repeat": """
        没听清 没听清楚 听不清 我听不清 听不见 再说一遍 你再说一遍 请再说一遍 重复一遍 大声点
        说慢一点 慢点说 什么 你说什么 没听懂
    """,
    "greeting": "喂 喂你好 你好 您好 喂喂 早上好 喂您好 你好你好",
    "backchannel": "哦 啊 呃 额 那个 哎",
    "unknown": """
        不知道 不清楚 不确定 我想想 没想好 考虑考虑 今天天气 别人的 特别 我再想想 不是不需要
        不用转人工 我跟你说啊今天天气真的很好 听你说完 我的你说吧今天天七真的恨好
        我的你说吧今天天七真的恨好我们将的猫有吧话苹虽了你听我说万昨天我曲买菜的是后
    """,
}  # fmt: skip

EN: dict[str, str] = {
    "refusal!": """
        no / no thanks / no thank you / no no no / nope / nah / not interested
        i'm not interested / i am not interested / not really interested
        sorry not interested / i don't want it / i don't want this / i don't need it
        i don't need this / we don't need that / i do not want to hear it
        don't call me / don't call me again / do not call me / do not call again
        please don't call again / stop calling / stop calling me / please stop calling me
        never call me again / don't bother me / stop bothering me / leave me alone / remove me
        remove me from your list / take me off your list / remove my number
        delete my number / please delete my number / unsubscribe / opt out / i want to opt out
        no interest / no need / stop / stop it / i'm hanging up
        okay no thanks / yeah no thanks / well no / no i'm not interested / no i don't
        i said no / i'll pass / i'd rather not / absolutely not / no way / cancel
        no thanks i'm busy / i'm busy don't call me again / don't contact me / no more calls
        go away / don't call me okay / not for me / forget it / no bye
        i don't want to talk to a robot / hello no thanks / no sorry / i didn't want this
        i'm not interested goodbye / thanks but no thanks / i don't care
    """,
    "abuse!": "fuck off / shut up / you idiot / screw you",
    "complaint!": """
        this is harassment stop calling / you keep calling me i will complain
        you call me every day / i'm sick of these calls / stop calling or i will report you
    """,
    "complaint": "i want to make a complaint / i want to complain / i will report you",
    "human": """
        agent / operator / human / a person please / real person / talk to a person
        can i talk to a person / i want to speak to a human / let me talk to someone
        transfer me / transfer me to an agent / speak to a representative / get me a manager
        can i speak with a real person / connect me to an agent / i want a human
        i don't want to talk to a robot give me a person / customer service
    """,
    "yes": """
        yes / yeah / yep / sure / okay / ok / all right / yes please / go ahead / yes go ahead
        sure go ahead / of course / that's fine / fine / i'm interested / yes i'm interested
        no problem / no problem go ahead / no worries / sounds good / tell me more
        please tell me / yes i do / it's a good time / why not / don't worry go ahead
        i don't mind
        absolutely / please continue / yes that's right
    """,
    "later": """
        call me later / call back later / please call back tomorrow / later / not now
        no not now / not right now / i'm busy / i'm busy now / i'm driving / i'm in a meeting
        i can't talk now
        i can't talk right now / this is not a good time / no it's not a good time
        another time / maybe later / i have no time / i don't have time / tomorrow / not today
        call me back next week
    """,
    "question": """
        what is this about / how much is it / how much does it cost / who is this / who are you
        where are you calling from / what company is this / is it free / what service
        how did you get my number / why are you calling / do i have to pay
        how long does it take / is there a fee / what is the price / do i need a card
        don't i need to pay
    """,
    "robot_question": """
        are you a robot / is this a robot / are you human / are you a real person
        am i talking to a machine / is this a recording / are you a real human / you're a robot
    """,
    "wrong_number": """
        wrong number / you have the wrong number / wrong person / that's not me
        nobody by that name
    """,
    "repeat": """
        pardon / can you repeat that / say that again / what / sorry / i can't hear you
        i didn't hear you / speak up / louder please / i didn't get that / slow down please
    """,
    "greeting": "hello / hi / hey / good morning / hello hello / hi there",
    "backchannel": "uh / um / mhm / hmm / uh huh",
    "unknown": "i'm not sure / i don't know / maybe / blue sky / don't hang up",
}  # fmt: skip


def cases() -> list[tuple[str, str, str, bool]]:
    """(language, text, intent, refused)."""
    found = []
    for language, table in (("zh", ZH), ("en", EN)):
        for label, block in table.items():
            texts = (
                block.split()
                if language == "zh"
                else [t.strip() for line in block.split("\n") for t in line.split("/")]
            )
            found += [(language, t, label.rstrip("!"), label.endswith("!")) for t in texts if t]
    return found
