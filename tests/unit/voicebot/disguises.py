# SPDX-License-Identifier: GPL-3.0-or-later
"""Forbidden words in disguise: what is written, and in normal form the word it hides."""

from __future__ import annotations

DISGUISES: dict[tuple[str, str], str] = {
    ("zh", "finance"): """
        保*本 = 保本 ; 保 本 = 保本 ; 保\u200b本 = 保本 ; 保—本 = 保本 ; 保·本 = 保本 ;
        保.本 = 保本 ; 保/本 = 保本 ; 【保】【本】 = 保本 ; 保、本 = 保本 ; 保~~~本 = 保本 ;
        保|本 = 保本 ; ★保★本★ = 保本 ; 保\u3000本 = 保本 ; 保\n本 = 保本 ; 保_本 = 保本 ;
        無風險 = 无风险 ; 沒有風險 = 没有风险 ; 沒有任何風險 = 没有任何风险 ;
        絕對保證收益 = 保证收益 ; 穩賺不賠 = 稳赚不赔 ; 薦股 = 荐股 ;
        信用卡套現 = 信用卡套现 ; 內幕消息 = 内幕消息 ; 保證本金 = 保证本金 ;
        剛性兌付 = 刚性兑付 ; 徵信修復 = 征信修复 ; 洗白徵信 = 洗白征信 ;
        國家擔保 = 国家担保 ; 國家背書 = 国家背书 ; 高額回報 = 高额回报 ;
        宝本高收益 = 保本高收益 ; 报本高收益 = 保本高收益 ; 保本高收一 = 保本高收益 ;
        保本高守益 = 保本高收益 ; 稳转不赔 = 稳赚不赔 ; 文赚不赔 = 文赚不赔 ;
        稳赚不陪 = 稳赚不赔 ; 只赚不陪 = 只赚不赔 ; 没有封险 = 没有风险 ;
        没有分险 = 没有风险 ; 没有疯险 = 没有风险 ; 零风显 = 0风险 ; 保证收异 = 保证收益 ;
        宝证收益 = 保证收益 ; 刚性对付 = 刚性兑付 ; 代客里财 = 代客理财 ;
        推荐古票 = 推荐股票 ; 内木消息 = 内幕消息 ; 钢性兑付 = 刚性兑付 ;
        股票配姿 = 股票配资 ; 消除愈期 = 消除逾期 ; 秒到帐无审核 = 秒到账无审核 ;
        百分百下款 = 百分百下款 ; 100%下款 = 100%下款 ; １００％下款 = 100%下款 ;
        1 0 0 % 下款 = 100%下款 ; ①〇〇％下款 = 100%下款 ; 0风险 = 0风险 ; 〇风险 = 0风险 ;
        零风险 = 0风险 ; 零*风*险 = 0风险 ; ０风险 = 0风险 ; 保夲 = 保夲 ; 宝本 = 宝本 ;
        荐谷 = 荐谷 ; 套线 = 套线 ; 抄股 = 抄股 ; 炒 股 荐 股 = 炒股荐股 ; 荐-股 = 荐股 ;
        套…现 = 套现 ; 无风险！ = 无风险 ; ＰＯＳ机套现 = pos机套现 ; pos机套现 = pos机套现 ;
        P.O.S机套现 = pos机套现 ;
    """,
    ("zh", "education"): """
        保 过 = 保过 ; 包*过 = 包过 ; 包-就-业 = 包就业 ; 保過 = 保过 ; 包過 = 包过 ;
        包就業 = 包就业 ; 包錄取 = 包录取 ; 命題組老師 = 命题组老师 ; 清華名師 = 清华名师 ;
        抱就业 = 包就业 ; 包就叶 = 包就业 ; 考试包国 = 考试包过 ; 宝证通过 = 保证通过 ;
        保证通锅 = 保证通过 ; 不能输在起跑线尚 = 不能输在起跑线上 ; 赢在起泡线 = 赢在起跑线 ;
        名师受课 = 名师授课 ; 包guo = 包guo ; 就业律 = 就业率 ; 升学率 = 升学率 ;
        內部資料 = 内部资料 ; 奧數班 = 奥数班 ; 补包过习 = 包过 ;
    """,
    ("zh", "retail"): """
        包治百病 = 包治百病 ; 包 治 百 病 = 包治百病 ; 包治白病 = 包治百病 ;
        根\u200b治 = 根治 ; 治癒 = 治愈 ; 藥到病除 = 药到病除 ; 祖傳秘方 = 祖传秘方 ;
        药到病出 = 药到病除 ; 全網最低 = 全网最低 ; 史上最低 = 史上最低 ; 假1赔万 = 假1赔万 ;
        假一赔万 = 假1赔万 ; 永不复法 = 永不复发 ; 免費港澳遊 = 免费港澳游 ;
    """,
    ("zh", "general"): """
        客＊服＊代＊表 = 客服代表 ; 專員 = 专员 ; 客户代裱 = 客户代表 ; 我是真人 = 我是真人 ;
        我，是，真，人 = 我是真人 ; 百分之佰 = 百分之百 ; 百分之百 = 百分之百 ; 詐騙 = 诈骗 ;
        傳銷 = 传销 ; 国 家 级 = 国家级 ; 最|高|级 = 最高级 ; ＣＶＶ = cvv ; c v v = cvv ;
        請說密碼 = 密码 ; 银行咖号 = 银行卡号 ; 身份证好码 = 身份证号码 ;
        您的家庭住止 = 您的家庭住址 ; 宗\u0301教 = 宗教 ;
    """,
    ("en", "finance"): """
        no-risk = norisk ; N O  R I S K = norisk ; ＮＯ ＲＩＳＫ = norisk ;
        r1sk free = riskfree ; risk fr33 = riskfree ; r!sk-free = riskfree ;
        guarаnteed returns = guaranteedreturns ; gu@ranteed returns = guaranteedreturns ;
        guaránteed returns = guaranteedreturns ; GUARANTEED.RETURNS = guaranteedreturns ;
        g.u.a.r.a.n.t.e.e.d profit = guaranteedprofit ; h0t st0ck = hotstock ;
        ѕtock tips = stocktips ; $tock tip$ = stocktips ;
        d0uble y0ur m0ney = doubleyourmoney ; ins1der t1p = insidertip ;
        zero_risk = zerorisk ; Zero*Risk = zerorisk ; can't lose = cantlose ;
        can’t lose = cantlose ; cant lose = cantlose ; high—yield = highyield ;
    """,
    ("en", "education"): """
        guaranteed-pass = guaranteedpass ; guar4nteed p4ss = guaranteedpass ;
        Guaranteed  JOB = guaranteedjob ; buy a d3gree = buyadegree ;
        award-winning teachers = awardwinningteachers ;
    """,
    ("en", "retail"): """
        m1racle cure = miraclecure ; MIRACLE*CURE = miraclecure ; mirac1e cure = miraclecure ;
        n0 side effects = nosideeffects ; melt\u200bfat = meltfat ;
    """,
    ("en", "general"): """
        s.c.a.m = scam ; sc@m = scam ; $cam = scam ; p@ssword = password ;
        pa$$word = password ; passw0rd = password ; PIN-code = pincode ; 100 % = 100% ;
        １００％ = 100% ; i'm a real person = imarealperson ;
        I’m a real person = imarealperson ; fr@ud = fraud ; рonzi = ponzi ;
    """,
}  # fmt: skip
