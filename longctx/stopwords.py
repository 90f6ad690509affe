"""Words that carry no subject, in the languages people ask in; search leaves them out of a question.

One language's list is used at a time, that of the question: "die" is German for "the", but a question about
what makes a process die must keep it. Languages without spaces list pairs of characters, as they are searched.
"""

from collections.abc import Sequence

_BY_LANGUAGE = {
    "en": "a about according after all also am an and any are as at be been being both but by can could describe "
    "described did do does doing done for from give given had has have having he her his how i if in into is it "
    "its itself many me mention mentioned much my no not of on or our out over please said same say says she should so "
    "some stated such tell than that the their them then there these they this those through to under up us was "
    "we were what what's when where which while who whom whose why will with would you your",
    "de": "aber als am an auch auf aus bei bin bis das dass dem den der des die durch ein eine einem einen einer eines "
    "er es für gibt hat hatte ich ihr im ist kann man mit nach nicht oder sein seine sich sie sind so über um "
    "und von vor wann war waren warum was welche welchem welchen welcher welches wenn wer werden wie wird wo "
    "wurde wurden zu zum zur",
    "fr": "au aux avec ce ces cette combien comment dans de des donc du elle elles en est et été être il ils je la "
    "le les leur lequel laquelle lui mais ne nous où ou par pas pour pourquoi quand que quel quelle quelles "
    "quels qu qui quoi sa se ses son sont sur un une vous",
    "es": "al como cómo con cuál cuáles cuando cuándo cuánto cuántos de del donde dónde el ella en entre era es esta "
    "está este esto fue fueron ha hay la las lo los más o para pero por porque qué que quién quiénes se ser si "
    "sin sobre son su sus un una uno y",
    "it": "al alla anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e è ed era gli ha ho "
    "il in la le lo ma nel nella non per perché più qual quale quali quando quanti quanto se si sono su sul un "
    "una uno",
    "pt": "ao aos as com como da das de do dos e é ela ele em entre era esta este eu foi foram há isso isto mais mas "
    "na nas no nos o onde os ou para pela pelo por porque qual quais quando quantos quanto que quem se ser são "
    "sobre sua um uma",
    "nl": "aan bij dat de deze die dit door een en er het hij hoe hoeveel ik in is kan met naar niet of om ook op "
    "over te tot uit van voor waar waarom wanneer waren wat welke werd wie wordt ze zijn",
    "id": "ada adalah akan apa apakah atau bagaimana berapa bisa dalam dan dari dengan di di ini itu juga kapan "
    "karena ke mana mengapa oleh pada saja siapa tidak untuk yang",
    "vi": "bao bằng bị các cái cho có của đã đang để đến được gì hay khi không là làm nào như những nhiêu này ở ra "
    "sao sẽ tại thế thì tôi trong từ và vào về với",
    "tl": "ang ano anong ay at bakit gaano ilan kailan kanino mga na nang ng ni nino paano saan sa si sino ito",
    "ru": "а без был была были было в во все где для до его если есть и из или их к как какая какие какой когда кто "
    "ли мы на не него но о об он она они от по почему при с сколько со так то только у что чем это",
    "hi": "और का की के को में से पर है हैं था थी थे क्या कौन कब कहाँ कहां क्यों कैसे कितना कितने कितनी ने यह वह ये वे "
    "जो किस किसने किसका तक भी हो होता होती एक लिए द्वारा इस उस",
    "ar": "في من على إلى عن ما ماذا متى أين كيف لماذا هل كم هو هي هذا هذه ذلك التي الذي كان كانت أن إن أو و مع بين "
    "قد لا لم لن تم عند كل أي",
    "zh": "什么 怎么 如何 哪里 哪个 哪些 多少 为什 谁的 是谁 是什 么时 時候 时候 甚麼 為什",
    "ja": "です ます とは どこ だれ いつ なぜ どの どう 何で すか はど ので から まで は何 った した して する",
    "th": "คือ คืออ อะไ ะไร ที่ ไหน เมื ใคร ทำไ ทำไม อย่ เท่ กี่",
}

_SETS = {language: frozenset(words.split()) for language, words in _BY_LANGUAGE.items()}


def stop_words(words: Sequence[str]) -> frozenset[str]:
    """The stop words of the language that `words` seem to be in: the list that holds most of them."""
    return max(_SETS.values(), key=lambda listed: sum(word in listed for word in words))
