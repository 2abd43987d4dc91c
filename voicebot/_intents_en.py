# SPDX-License-Identifier: GPL-3.0-or-later
"""English phrase families for :mod:`voicebot.intents`; lower-case words, single spaces."""

from __future__ import annotations

import re

Found = tuple[str, bool, float]

_CONTRACTIONS = (
    (re.compile(r"\b(?:do not|dont|do n't)\b"), "don't"),
    (re.compile(r"\b(?:can not|cannot|cant)\b"), "can't"),
    (re.compile(r"\b(?:i am|im)\b"), "i'm"),
    (re.compile(r"\b(?:is not|isnt)\b"), "isn't"),
    (re.compile(r"\b(?:did not|didnt)\b"), "didn't"),
    (re.compile(r"\b(?:will not|wont)\b"), "won't"),
    (re.compile(r"\b(?:does not|doesnt)\b"), "doesn't"),
    (re.compile(r"\b(?:opt out|optout)\b"), "opt-out"),
    (re.compile(r"\b(?:you are|youre)\b"), "you're"),
)
_HARMLESS = re.compile(
    r"\bno (?:problem|worries|rush|trouble|hurry|need to (?:apologi[sz]e|worry|hurry|rush"
    r"|be sorry)|doubt|wonder)\b"
    r"|\bnot (?:at all a problem|a problem|bad|only)\b|\bnot that i don't want\b"
    r"|\bdon't (?:worry|hang up|go|mind|apologi[sz]e|rush|be sorry|hurry)\b|\bwhy not\b"
    r"|\bwouldn't mind\b|\bno it's (?:fine|okay|ok|alright|all right) (?:go|tell"
    r"|please go)\b"
    r"|\bi didn't say (?:no|i'm not interested|i don't want it)\b|\bknow\b"
)
_STRONG = re.compile(
    r"\b(?:don't|stop|quit|never|no more)(?: (?:ever|you|please|keep|just|me|even|dare))* "
    r"(?:call(?:ing)?|calls|phone|phoning|ring(?:ing)?|contact(?:ing)?|bother(?:ing)?"
    r"|text(?:ing)?|harass(?:ing)?|disturb(?:ing)?|solicit(?:ing)?|pester(?:ing)?"
    r"|spam(?:ming)?)\b"
    r"|\b(?:remove|delete|take|erase)(?: me| my| us)+(?: (?:number|name|phone|details|data"
    r"|information|info))?(?: number)?(?: off| from| out|$| please| now)"
    r"|\b(?:remove|delete|erase) (?:my|this) (?:number|name|phone|details|data|information|info)\b"
    r"|\bunsubscribe\b|\bopt-out\b|\bopt me out\b|\bdo not call list\b|\bdon't call list\b"
    r"|\bblock (?:you|this)\b|\bleave me alone\b"
    r"|\b(?:i'm|i am) (?:going to )?hang(?:ing)? up\b|\bget lost\b|\bgo away\b"
    r"|\blose my number\b|\btake me off\b"
)
_WEAK = re.compile(
    r"\bnot (?:really |at all |even |so |that |very |currently "
    r"|particularly )*(?:interested|interest|for me|looking|buying|needed|necessary)\b"
    r"|\bno (?:interest|need|thank|thanks|thankyou)\b"
    r"|\b(?:don't|didn't|won't|wouldn't|do never|will not)(?: (?:really|even|actually"
    r"|currently|ever|think i|think we|have any|have the))*(?: (?:want|need|care|like"
    r"|interest|wish|require|accept|buy|use for))\b"
    r"|\b(?:isn't|not) (?:something|what) i (?:want|need)\b|\buninterested\b"
    r"|\bi (?:decline|refuse|pass)\b|\bi'll pass\b|\bi will pass\b|\bi'd rather not\b"
    r"|\brather not\b|\bi'm good (?:thanks|thank you)\b"
    r"|^no(?: no)*(?: (?:thanks|thank you|sir|madam|ma'am|sorry|please|way|bye|goodbye"
    r"|it's not|it isn't|not interested|i'm fine|i'm good|i don't|i can't|never))*$"
    r"|^nope\b|^nah\b|\bno way\b|^never\b|\babsolutely not\b|\bcertainly not\b"
    r"|\bdefinitely not\b|\bof course not\b"
    r"|^stop(?: it| please| now| stop)*$|^(?:please )?stop\b|\bforget it\b|\bcancel\b"
    r"|\bno (?:i|we) (?:don't|can't|won't|am not|do not)\b|^no i'm\b|\bno (?:bye"
    r"|goodbye)\b|\bsorry no\b|\bwell no\b|\bno sorry\b|\b(?:said|say|saying) no\b"
)
_ASKS = re.compile(
    r"^(?:do i|don't i|do we|don't you|will i|would i|is it|isn't it|can i|are you"
    r"|aren't you|what if|if i don't|what happens)\b"
)
_TAG = re.compile(r" (?:okay|ok|alright|right|all right|got it|understand|you hear)$")
_ROBOT_QUESTION = re.compile(
    r"\b(?:are|is|aren't|isn't|am i) (?:you |this |it |i )?(?:even |actually |really "
    r"|just )?(?:a |an |talking to |speaking to |speaking with |talking with )*(?:a "
    r"|an )?(?:real |live |actual |human )?(?:robot|bot|machine|recording|ai|computer"
    r"|human|real|person|automated|human being)\b"
    r"|\byou're (?:a |an )?(?:robot|bot|machine|ai|recording|computer)\b"
    r"|\bhuman or (?:a )?(?:robot|machine|bot|computer)\b|\b(?:robot|machine"
    r"|computer) or (?:a )?(?:human|person)\b"
)
_HUMAN = re.compile(
    r"\b(?:agent|operator|representative|supervisor|manager)\b|\b(?:real|live"
    r"|actual) (?:person|human|people)\b|\bhuman(?: being)?\b"
    r"|\b(?:talk|speak|transfer|connect|put|get|give)(?: me)?(?: to| with| through)*(?: to"
    r"| with)?(?: a| an| some| the| your)*(?: real| live| human| actual)* (?:person|human"
    r"|someone|somebody|people|agent|operator|staff|manager|colleague)\b|\bsomeone real\b"
    r"|\btransfer me\b|\bcustomer service\b|^(?:a )?person(?: please)?$"
)
_NO_HUMAN = re.compile(
    r"\b(?:don't|do not|no)(?: i)?(?: don't)? (?:want|need|have to)?(?: to)?(?: talk to"
    r"| speak to| speak with)?(?: a| an| any)* ?(?:agent|operator|person|human"
    r"|representative)\b"
)
_NO_ROBOT = re.compile(
    r"\b(?:don't|won't|not)(?: want to| like to| like| want| talking"
    r"| going)*(?: to)?(?: talk| speak| talking| speaking)?(?: to| with)?(?: a| an"
    r"| the)* ?(?:robots?|bots?|machines?|computers?|recordings?)\b"
)
_WRONG = re.compile(
    r"\bwrong (?:number|person|guy|woman|man)\b|\b(?:no"
    r"|nobody) (?:one )?(?:here )?by that name\b|\bthat's not me\b|\bthat isn't me\b"
    r"|\bi'm not (?:him|her|that person)\b|\bdoesn't live here\b|\byou've got the wrong\b"
    r"|\bmisdialed\b"
)
_COMPLAINT = re.compile(
    r"\b(?:complaint|complain|complaining|report you|report this|sue you|sue|lawyer|police"
    r"|harassment|harassing)\b"
)
_HARASSED = re.compile(
    r"\b(?:keep|keeps|always|every day|again and again|constantly) call(?:ing|s)?\b"
    r"|\bcall(?:ing|ed)? me (?:every day|again and again|all the time|ten times)\b"
    r"|\bsick of\b|\btired of (?:this|these|you)\b|\bharass"
)
_ABUSE = re.compile(
    r"\b(?:fuck|shit|bastard|idiot|bullshit|asshole|screw you|shut up|scammers?|damn you"
    r"|go to hell|piss off)\b"
)
_LATER = re.compile(
    r"\b(?:later|another time|some other time|next (?:week|time|month)|tomorrow|tonight"
    r"|call (?:me )?back|not now|not right now|not a good time|bad time|busy|driving"
    r"|in a meeting|at work|in the middle|no time|don't have (?:the )?time|can't (?:talk"
    r"|speak)|isn't a good time|this (?:afternoon|evening)|in an hour|at lunch"
    r"|having dinner|not today)\b"
)
_REPEAT = re.compile(
    r"\b(?:repeat|say (?:that |it )?again|pardon|louder|slower|speak up|didn't (?:hear"
    r"|catch|get|understand)|can't hear|couldn't hear|come again|what did you say"
    r"|one more time|once more|excuse me what|slow down|don't understand)\b|^(?:what|sorry"
    r"|huh|what sorry|sorry what)$"
)
_QUESTION = re.compile(
    r"\b(?:what|who|who's|where|when|why|how|how's|which|what's|whose)\b|^(?:is|are|do"
    r"|does|can|could|will|would|did|don't|isn't) |\b(?:cost|price|free|charge|fee"
    r"|expensive|more information|tell me more about the price)\b"
)
_GREETING = re.compile(
    r"^(?:hello|hi|hey|good (?:morning|afternoon|evening)|yeah hello|yes hello|hello hello"
    r"|hi there|speaking)(?: (?:hello|hi|there|speaking))*$"
)
_BACKCHANNEL = re.compile(
    r"^(?:uh|um|mhm|hmm|hm|mm|ah|oh|er|well|so|uh huh|mm hmm)(?: (?:uh|um|mhm|hmm|hm|mm|ah"
    r"|oh|er|huh))*$"
)
_YES = re.compile(
    r"\b(?:yes|yeah|yep|yup|sure|okay|ok|alright|all right|fine|go ahead|go on|please do"
    r"|of course|certainly|absolutely|definitely|interested|sounds good|tell me"
    r"|i'm listening|why not|no problem|no worries|correct|right|i do|i would|i'd like"
    r"|i want|good time|it's good|it is|great|perfect|thank you|thanks|continue|carry on"
    r"|don't worry|wouldn't mind|don't mind|let's hear|please)\b|^no it's "
)
_NOT_YES = re.compile(r"\b(?:not|don't|can't|won't|isn't|doesn't|didn't|never|no|unsure|maybe)\b")


def classify(text: str) -> Found | None:
    """Lower-case words -> (intent, refused, score)."""
    if not text:
        return None
    for pattern, contraction in _CONTRACTIONS:
        text = pattern.sub(contraction, text)
    plain = _HARMLESS.sub("~", text).strip()
    if _ABUSE.search(text):
        return "abuse", True, 1.0
    if _NO_ROBOT.search(plain) and not _STRONG.search(plain):
        wants = _HUMAN.search(_NO_ROBOT.sub("", plain))
        return ("human", False, 1.0) if wants else ("refusal", True, 1.0)
    if _COMPLAINT.search(text):
        return "complaint", bool(_HARASSED.search(text)) or _refuses(plain), 1.0
    if _WRONG.search(text):
        return "wrong_number", bool(_STRONG.search(plain)), 1.0
    if _NO_HUMAN.search(plain) and not _STRONG.search(plain):
        rest = _NO_HUMAN.sub("", plain).strip()
        return ("refusal", True, 1.0) if _refuses(rest) else None
    if _later_only(plain):
        return "later", False, 1.0
    if _refuses(plain):
        return "refusal", True, 1.0
    if _HARASSED.search(text):
        return "complaint", True, 0.9
    if _ROBOT_QUESTION.search(text):
        return "robot_question", False, 1.0
    if _HUMAN.search(plain):
        return "human", False, 1.0
    return _rest(text, plain)


def _later_only(plain: str) -> bool:
    """ "No, not now" and "stop, I'm driving" put off; "no thanks, I'm busy" refuses."""
    if not _LATER.search(plain) or _STRONG.search(plain):
        return False
    rest = _LATER.sub("", plain).strip()
    rest = re.sub(
        r"^(?:no|sorry|well|oh|but|i'm|it's|that's|this|right|it|please|me|a)(?: (?:no"
        r"|sorry|i'm|it's|that's|this|right|a|please|me))*$",
        "",
        rest,
    )
    return not _refuses(rest)


def _rest(text: str, plain: str) -> Found | None:
    if _REPEAT.search(text):
        return "repeat", False, 1.0
    if _GREETING.search(text):
        return "greeting", False, 1.0
    if _BACKCHANNEL.search(text):
        return "backchannel", False, 1.0
    if _QUESTION.search(plain):
        return "question", False, 1.0
    if _NOT_YES.search(plain):
        return None
    if _YES.search(text):
        return "yes", False, 1.0
    return None


def _refuses(plain: str) -> bool:
    if _STRONG.search(plain):
        return True
    bare = _TAG.sub("", plain)
    return bool(_WEAK.search(bare)) and not _ASKS.search(bare)
