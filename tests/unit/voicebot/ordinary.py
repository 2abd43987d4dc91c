# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinary sentences of lawful calls: none of them may be called forbidden in any industry."""

from __future__ import annotations

ZH = """
您好，我是智能语音机器人，星辰公司的。
这次来电是介绍会员服务，大约一分钟。
为保障服务质量，本次通话会录音。
不需要请按一，或者直接说不需要；需要人工请说转人工。
请问您现在方便了解一下吗？
好的，那不打扰您了，再见。
抱歉，我没听清，请您再说一遍。
您是从我们的官方网站留下的联系方式。
我们的服务时间是工作日上午九点到下午五点半。
会员每月可以享受两次免费咨询。
具体内容稍后会以短信形式发送给您。
您可以随时在官方应用里取消会员。
我们不会询问您的密码和银行卡号。
如有人向您索要验证码，请勿提供。
验证码请勿告诉任何人，包括我们的工作人员。
密码不要告诉别人。
请您谨防诈骗，我们不会要求转账。
反诈骗宣传周的活动在社区中心举行。
本产品不保本，投资可能有损失。
理财非存款，产品有风险，投资须谨慎。
过往业绩不代表未来表现。
本基金不承诺保本，也不保证收益。
我们不能保证收益，请您根据自己的情况决定。
该产品的风险等级为二级。
贷款年化利率按单利计算，请理性借贷。
贷款审批结果以银行审核为准。
逾期还款会影响您的信用记录。
您可以提前还款，手续费见合同。
保险责任和免责条款请以合同为准。
犹豫期内您可以无条件退保。
分红是不确定的，请注意。
购买前请仔细阅读产品说明书。
我们不做炒股培训，只介绍存款产品。
我行从不荐股，请您放心。
课程一共二十四节，每周两节。
试听课是免费的，时间在周六上午。
我们不承诺保过，学习效果因人而异。
本课程不包就业，毕业后请自行求职。
退费按照合同约定的课时比例计算。
培训机构的办学许可证可以在官网查询。
老师都持有教师资格证。
这门课适合初学者。
上课地点离地铁站步行五分钟。
您的孩子可以先做一次水平测试。
教材费包含在学费里面。
请您在报名前阅读培训合同。
课程可以请假，也可以调到别的班。
英语口语班每班十二人。
成人钢琴课安排在晚上七点。
夏令营的报名表可以在网上下载。
这款洗衣机的容量是十公斤。
商品支持七天无理由退货。
包邮范围不含偏远地区。
您的订单已经发货，预计后天送达。
发票可以在订单页面申请。
这双鞋有三种颜色可以选择。
本店满三百减三十，活动截止到月底。
优惠券的使用规则请看页面说明。
面膜的主要成分是玻尿酸。
保健食品不能代替药物。
本品不是药物，不能治疗疾病。
如果您对花生过敏，请不要食用。
请您核对一下收货的城市。
快递员会提前联系您。
这款手机的电池容量是五千毫安时。
空调安装是收费的，价格见清单。
产品保修期为两年。
床垫有软硬两种可以选。
您可以到门店体验。
家具的甲醛检测报告在这里。
楼盘的预售许可证已经公示。
房屋价格以合同为准。
购房请咨询当地的购房政策。
旅行团的行程一共六天五晚。
机票改签需要补差价。
酒店可以免费取消到前一天下午六点。
请问您对哪方面感兴趣？
您什么时候方便，我们再联系您。
好的，我们晚点再给您打。
谢谢您的接听，祝您生活愉快。
请稍等，我为您转接人工。
现在没有空闲的人工坐席。
人工坐席会尽快给您回电。
非常抱歉，打错电话了。
我是机器人，不是真人。
您可以拨打我们的投诉电话。
投诉会在二十四小时内答复。
您可以随时要求不再接到来电。
我们已经把您的号码加入谢绝来电名单。
您的意见我已经记下来了。
会员积分可以兑换礼品。
一百积分抵一块钱。
积分有效期到年底。
会员卡号在应用首页可以看到。
您可以在应用里修改密码。
忘记密码的话，可以在登录页找回。
请在官方应用里核对身份。
天气转凉，请注意保暖。
明天有雨，出门记得带伞。
会议改到下周三下午。
他在大学里学的是密码学。
我家孩子在上政治课。
这部电影是治愈系的。
现在是下单的最佳时间。
这把万能钥匙是玩具。
国家及地方都有补贴政策。
包括运费在内一共九十九元。
保国在公司工作了三年。
这家店的手艺很好，保证手艺不打折扣。
我的包过几天就寄到。
他保护了大家的安全。
今年的收益比去年低一些。
风险和收益是相对应的。
存款利率已经下调。
公司的成本高，收入也高。
我去年买的股票亏了。
银行的营业时间请看公告。
信用卡账单日是每月五号。
还款日之前会有短信提醒。
额度由银行根据资质核定。
年费的减免规则请看章程。
外币兑换请到柜台办理。
养老金的领取条件可以咨询社保中心。
保险合同一式两份。
车险到期前一个月可以续保。
定损员会到现场查看。
证书需要通过考试才能取得。
考试时间以考试院的通知为准。
录取结果由学校决定。
学习要靠自己努力。
我们班的同学都很友好。
老师会布置作业，也会批改。
孩子的兴趣最重要。
毕业生可以参加校园招聘会。
就业指导课在第六周。
学校的食堂在二楼。
图书馆晚上十点关门。
这本书的价格是三十五元。
纸巾两包一起买便宜一点。
苹果今天特别新鲜。
这件衣服可以机洗。
锅的直径是二十四厘米。
本店晚上九点打烊。
您的会员下个月到期。
续费可以在应用里操作。
自动续费可以随时关闭。
我们每个季度做一次回访。
请您给这次服务打个分。
一到五分，五分是满意。
您对上次的服务满意吗？
有什么可以改进的地方吗？
师傅上门维修的费用是八十元。
水表每两个月抄一次。
宽带的速度是三百兆。
流量用完以后会限速。
套餐的资费标准请看短信。
停机保号每月五元。
换卡请带上有效证件到营业厅。
请您保管好自己的证件。
电梯正在维修，请走楼梯。
物业费可以按季度交。
停车场的入口在东门。
小区的垃圾分类指南已经发放。
医院的门诊预约可以在网上办理。
体检报告三天以后可以领取。
疫苗接种请带上身份证。
最近身体怎么样？
祝您和家人身体健康。
新年快乐，万事如意。
活动最终的名单下周公布。
第一次来的客人可以先参观。
第一，请确认您的姓氏；第二，请选择时间。
我最喜欢的颜色是蓝色。
他是班里最高的同学。
这里的风景真好。
质量问题可以免费换新。
请问您还在听吗？
您刚才说的是下周二，对吗？
那我帮您登记为晚点联系。
感谢您对星辰公司的支持。
本次通话到此结束，再见。
""".strip().splitlines()

EN = """
Hello, this is a robot calling from Star Company.
This is an automated call about our member service.
It takes about one minute.
This call is recorded for quality.
If you don't want this, press one or just say no.
For a person, say agent.
Is now a good time to hear about it?
Okay, goodbye.
Sorry, I did not hear that.
Could you say that again, please?
All right, we will call later.
Sorry, wrong number.
A person will call you back soon.
Please hold on while I connect you.
Nobody is free just now.
Yes, I am a robot, not a person.
You gave us your number on our website in March.
You can take back your consent at any time.
We will not call you again.
Your number is now on our do not call list.
Members get two free consultations every month.
The member service is free.
We will send you a text message with the details.
You can cancel in the app whenever you like.
We never ask for your password.
We will never ask for your card number or your PIN code.
Do not share your verification code with anybody.
Your password should never be shared.
Please do not give your account number to anyone on the phone.
Capital is at risk.
The value of investments can go down as well as up.
Past performance is not a guide to the future.
This product is not risk free.
There are no guaranteed returns with this fund.
We do not promise guaranteed returns.
Your loan is subject to approval.
Approval is never guaranteed.
The representative annual rate is nine point nine percent.
Late payment can cause you serious money problems.
You can repay early without a fee.
The cooling off period is fourteen days.
Please read the policy document before you decide.
Exclusions are listed on page four.
The excess on this policy is two hundred pounds.
Our fraud department will never call you for a code.
You can report fraud to your bank at any time.
We do not offer stock tips.
The branch opens at nine.
Your statement is ready in the app.
Interest is calculated daily.
The account pays interest every quarter.
Rates may change.
You can change your password in the app.
Have you forgotten your login? Use the website.
The course has twenty four lessons.
Classes are on Tuesday and Thursday evenings.
The first lesson is a trial lesson without charge.
We cannot promise a pass; it depends on your work.
There is no guaranteed job at the end of this course.
Fees are refunded for lessons you did not take.
Our teachers hold a teaching certificate.
The book costs thirty five dollars.
Your child can take a placement test first.
The school is five minutes from the station.
You need to pass two modules before the exam.
The exam board sets the date.
The university decides on admission.
Homework is handed in on Monday.
The library closes at ten.
We have twelve students in a class.
The summer camp is open to everybody.
Your order was shipped this morning.
It should arrive the day after tomorrow.
You can return the goods within thirty days.
The warranty is two years.
Delivery is free for orders over fifty dollars.
The washing machine holds ten kilos.
It comes in three colours.
The invoice is attached to your order.
This food supplement does not replace medicine.
It is not intended to treat any disease.
If you are allergic to nuts, please do not eat it.
The cream contains no perfume.
The mattress comes soft or firm.
Our shop closes at nine tonight.
The sale runs until the end of the month.
You save thirty dollars on orders over three hundred.
One hundred points are worth one dollar.
Your points are valid until December.
Your membership ends next month.
Automatic renewal can be switched off.
How satisfied were you with our service?
Please give us a mark from one to five.
Is there anything we could do better?
The engineer charges eighty pounds for a visit.
Broadband speed is three hundred megabits.
After ten gigabytes the speed is lower.
The price of the plan is in the text message.
The lift is out of order; please take the stairs.
The car park is behind the building.
Rubbish is collected on Wednesdays.
You can book an appointment online.
The results are ready in three days.
Please bring a valid document to the branch.
The weather is getting colder.
Take an umbrella tomorrow.
The meeting moved to Wednesday afternoon.
Thank you for your time.
Thank you and goodbye.
Have a nice day.
Happy new year to you and your family.
Are you still there?
You said next Tuesday, is that right?
I have put you down for a later call.
I will note that down for you.
Your complaint will be answered within one day.
You may reach our complaints line at any time.
The answer will come by letter.
She works in a school in Oxford.
He studied at Harvard for a year.
The casino risks closing.
The scampi are fresh.
An asterisk marks the required fields.
The ports are all open.
The password manager on your phone can help.
The committee meets on Friday.
This is a best effort service.
My favourite colour is blue.
He is the tallest boy in his class.
The hotel can be cancelled until six.
The tour lasts six days.
Your flight leaves at noon.
A change of flight costs extra.
The house has three bedrooms.
Prices may fall or rise.
The contract sets out the price.
The battery lasts about ten hours.
The pan is twenty four centimetres wide.
You can wash this shirt in the machine.
The apples are very fresh today.
Two packs together are cheaper.
The phone has a five inch screen.
We open a new shop in spring.
It is a pleasure to talk to you.
I can send you the terms by post.
Could you tell me which city you live near?
What would you like to know?
The first question is about the delivery.
Secondly, please choose a time.
That is all for today.
Would you like to be called in the morning or in the evening?
We are open on working days only.
Please check your letterbox.
The form can be downloaded from our site.
The gift card can be used in every shop.
The museum is closed on Mondays.
The train leaves from platform four.
The garden needs water.
Our newsletter comes once a month.
You can unsubscribe with one click.
The insurance starts on the first of May.
The adviser in your branch can explain this.
Your consent was given on our website.
There is a fee for paper statements.
The repair takes about an hour.
""".strip().splitlines()
