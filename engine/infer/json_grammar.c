/* GBNF of JSON. */
#include <quernel/grammar.h>

const char *qn_grammar_json_object(void)
{
    /* \\u: pairs of surrogates whole, never one alone */
    static const char text[] =
        "root ::= object\n"
        "object ::= \"{\" ws ( string ws \":\" ws value ws ( \",\" ws string ws \":\" ws value ws "
        ")* "
        ")? \"}\"\n"
        "array ::= \"[\" ws ( value ws ( \",\" ws value ws )* )? \"]\"\n"
        "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
        "string ::= \"\\\"\" char* \"\\\"\"\n"
        "char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" escape )\n"
        "escape ::= [0-9a-cA-CefEF] hex hex hex | [dD] [0-7] hex hex | "
        "[dD] [89abAB] hex hex \"\\\\u\" [dD] [c-fC-F] hex hex\n"
        "hex ::= [0-9a-fA-F]\n"
        "number ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,15} ) ( \".\" [0-9]{1,15} )? "
        "( [eE] [-+]? [0-9]{1,2} )?\n"
        "ws ::= ( \" \" | \"\\n\" [ \\t]{0,20} )?\n";
    return text;
}
