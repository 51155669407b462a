"""Values that Paper B prints, as data: its Tables 1, 2, 5 and 6 by model, and its regression (Tables 3, 7, 8 and 9).

Copied from the paper's text. ``level`` is a model's own value, ``change`` and ``percent_change`` that from base to
instruct, named by the instruct model; ``se`` is the printed standard error (Table 5 prints none). Table 3 is a part of
Table 7 in fewer digits. The text that we have lost the formulas in the terms' names: terms are in the order of the
formula (METHODS of the report), in which the printed rows stand. Paper A prints no table of numbers by model in the
text that we have.
"""

from io import StringIO

import polars as pl

_MODELS = """\
table,task,hub_id,measure,quantity,value,se
1,math,Qwen/Qwen3-8B-Base,gen_ppl,level,1.23,0.0052
1,math,meta-llama/Llama-3.1-8B,gen_ppl,level,3.57,0.041
1,math,google/gemma-3-12b-pt,gen_ppl,level,4.56,0.052
1,math,Qwen/Qwen3-8B-Base,branching_factor,level,1.23,0.0064
1,math,meta-llama/Llama-3.1-8B,branching_factor,level,5.31,0.12
1,math,google/gemma-3-12b-pt,branching_factor,level,4.98,0.055
1,math,Qwen/Qwen3-8B-Base,canopy_entropy,level,55.7,2.0
1,math,meta-llama/Llama-3.1-8B,canopy_entropy,level,458,18
1,math,google/gemma-3-12b-pt,canopy_entropy,level,487,11
1,math,Qwen/Qwen3-8B,gen_ppl,level,1.17,0.0067
1,math,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,level,1.74,0.063
1,math,google/gemma-3-12b-it,gen_ppl,level,1.17,0.0098
1,math,Qwen/Qwen3-8B,branching_factor,level,1.16,0.0057
1,math,meta-llama/Llama-3.1-8B-Instruct,branching_factor,level,1.57,0.024
1,math,google/gemma-3-12b-it,branching_factor,level,1.15,0.0054
1,math,Qwen/Qwen3-8B,canopy_entropy,level,40.5,2.5
1,math,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,level,98.7,9.1
1,math,google/gemma-3-12b-it,canopy_entropy,level,59.1,5.1
1,math,Qwen/Qwen3-8B,gen_ppl,percent_change,-4.44,0.47
1,math,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,percent_change,-51.2,2.0
1,math,google/gemma-3-12b-it,gen_ppl,percent_change,-74.4,0.34
1,math,Qwen/Qwen3-8B,branching_factor,percent_change,-5.76,0.38
1,math,meta-llama/Llama-3.1-8B-Instruct,branching_factor,percent_change,-70.5,0.73
1,math,google/gemma-3-12b-it,branching_factor,percent_change,-76.9,0.24
1,math,Qwen/Qwen3-8B,canopy_entropy,percent_change,-27.3,3.3
1,math,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,percent_change,-78.4,2.2
1,math,google/gemma-3-12b-it,canopy_entropy,percent_change,-87.9,1.1
1,coding,Qwen/Qwen3-8B-Base,gen_ppl,level,1.68,0.017
1,coding,meta-llama/Llama-3.1-8B,gen_ppl,level,3.16,0.055
1,coding,google/gemma-3-12b-pt,gen_ppl,level,2.60,0.041
1,coding,Qwen/Qwen3-8B-Base,branching_factor,level,2.08,0.034
1,coding,meta-llama/Llama-3.1-8B,branching_factor,level,4.96,0.057
1,coding,google/gemma-3-12b-pt,branching_factor,level,3.24,0.038
1,coding,Qwen/Qwen3-8B-Base,canopy_entropy,level,207,4.8
1,coding,meta-llama/Llama-3.1-8B,canopy_entropy,level,326,13
1,coding,google/gemma-3-12b-pt,canopy_entropy,level,492,25
1,coding,Qwen/Qwen3-8B,gen_ppl,level,1.23,0.0053
1,coding,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,level,1.31,0.0088
1,coding,google/gemma-3-12b-it,gen_ppl,level,1.05,0.0039
1,coding,Qwen/Qwen3-8B,branching_factor,level,1.21,0.0061
1,coding,meta-llama/Llama-3.1-8B-Instruct,branching_factor,level,1.31,0.0081
1,coding,google/gemma-3-12b-it,branching_factor,level,1.05,0.0021
1,coding,Qwen/Qwen3-8B,canopy_entropy,level,81.2,4.0
1,coding,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,level,135,4.3
1,coding,google/gemma-3-12b-it,canopy_entropy,level,17.7,1.6
1,coding,Qwen/Qwen3-8B,gen_ppl,percent_change,-27.1,0.79
1,coding,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,percent_change,-58.4,0.74
1,coding,google/gemma-3-12b-it,gen_ppl,percent_change,-59.7,0.64
1,coding,Qwen/Qwen3-8B,branching_factor,percent_change,-41.9,0.99
1,coding,meta-llama/Llama-3.1-8B-Instruct,branching_factor,percent_change,-73.7,0.35
1,coding,google/gemma-3-12b-it,branching_factor,percent_change,-67.8,0.38
1,coding,Qwen/Qwen3-8B,canopy_entropy,percent_change,-60.7,1.6
1,coding,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,percent_change,-58.6,1.7
1,coding,google/gemma-3-12b-it,canopy_entropy,percent_change,-96.4,0.39
1,completion,Qwen/Qwen3-8B-Base,gen_ppl,level,4.77,0.16
1,completion,meta-llama/Llama-3.1-8B,gen_ppl,level,6.73,0.12
1,completion,google/gemma-3-12b-pt,gen_ppl,level,8.81,0.11
1,completion,Qwen/Qwen3-8B-Base,branching_factor,level,4.20,0.11
1,completion,meta-llama/Llama-3.1-8B,branching_factor,level,7.80,0.15
1,completion,google/gemma-3-12b-pt,branching_factor,level,9.49,0.11
1,completion,Qwen/Qwen3-8B-Base,canopy_entropy,level,826,55
1,completion,meta-llama/Llama-3.1-8B,canopy_entropy,level,969,40
1,completion,google/gemma-3-12b-pt,canopy_entropy,level,1084,36
1,completion,Qwen/Qwen3-8B,gen_ppl,level,1.68,0.025
1,completion,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,level,2.56,0.069
1,completion,google/gemma-3-12b-it,gen_ppl,level,1.80,0.019
1,completion,Qwen/Qwen3-8B,branching_factor,level,1.55,0.018
1,completion,meta-llama/Llama-3.1-8B-Instruct,branching_factor,level,2.75,0.045
1,completion,google/gemma-3-12b-it,branching_factor,level,1.74,0.024
1,completion,Qwen/Qwen3-8B,canopy_entropy,level,112,11
1,completion,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,level,201,11
1,completion,google/gemma-3-12b-it,canopy_entropy,level,515,29
1,completion,Qwen/Qwen3-8B,gen_ppl,percent_change,-64.9,1.1
1,completion,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,percent_change,-62.0,1.3
1,completion,google/gemma-3-12b-it,gen_ppl,percent_change,-79.6,0.30
1,completion,Qwen/Qwen3-8B,branching_factor,percent_change,-63.0,0.88
1,completion,meta-llama/Llama-3.1-8B-Instruct,branching_factor,percent_change,-64.8,0.83
1,completion,google/gemma-3-12b-it,branching_factor,percent_change,-81.6,0.30
1,completion,Qwen/Qwen3-8B,canopy_entropy,percent_change,-86.5,1.0
1,completion,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,percent_change,-79.3,1.3
1,completion,google/gemma-3-12b-it,canopy_entropy,percent_change,-52.5,2.8
1,stories,Qwen/Qwen3-8B-Base,gen_ppl,level,3.57,0.11
1,stories,meta-llama/Llama-3.1-8B,gen_ppl,level,7.40,0.071
1,stories,google/gemma-3-12b-pt,gen_ppl,level,7.98,0.062
1,stories,Qwen/Qwen3-8B-Base,branching_factor,level,4.03,0.092
1,stories,meta-llama/Llama-3.1-8B,branching_factor,level,8.24,0.073
1,stories,google/gemma-3-12b-pt,branching_factor,level,8.68,0.070
1,stories,Qwen/Qwen3-8B-Base,canopy_entropy,level,445,20
1,stories,meta-llama/Llama-3.1-8B,canopy_entropy,level,1320,41
1,stories,google/gemma-3-12b-pt,canopy_entropy,level,692,23
1,stories,Qwen/Qwen3-8B,gen_ppl,level,2.28,0.037
1,stories,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,level,3.24,0.092
1,stories,google/gemma-3-12b-it,gen_ppl,level,2.22,0.023
1,stories,Qwen/Qwen3-8B,branching_factor,level,2.11,0.039
1,stories,meta-llama/Llama-3.1-8B-Instruct,branching_factor,level,3.37,0.083
1,stories,google/gemma-3-12b-it,branching_factor,level,2.17,0.025
1,stories,Qwen/Qwen3-8B,canopy_entropy,level,454,28
1,stories,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,level,543,22
1,stories,google/gemma-3-12b-it,canopy_entropy,level,925,40
1,stories,Qwen/Qwen3-8B,gen_ppl,percent_change,-36.0,1.3
1,stories,meta-llama/Llama-3.1-8B-Instruct,gen_ppl,percent_change,-56.2,1.4
1,stories,google/gemma-3-12b-it,gen_ppl,percent_change,-72.2,0.28
1,stories,Qwen/Qwen3-8B,branching_factor,percent_change,-47.6,1.3
1,stories,meta-llama/Llama-3.1-8B-Instruct,branching_factor,percent_change,-59.1,1.2
1,stories,google/gemma-3-12b-it,branching_factor,percent_change,-75.0,0.28
1,stories,Qwen/Qwen3-8B,canopy_entropy,percent_change,1.92,3.5
1,stories,meta-llama/Llama-3.1-8B-Instruct,canopy_entropy,percent_change,-58.9,1.6
1,stories,google/gemma-3-12b-it,canopy_entropy,percent_change,33.7,8.3
2,math,Qwen/Qwen3-8B-Base,pearson,level,-0.018,0.016
2,math,Qwen/Qwen3-8B,pearson,level,0.087,0.037
2,math,Qwen/Qwen3-8B,pearson,change,0.11,0.042
2,coding,Qwen/Qwen3-8B-Base,pearson,level,-0.41,0.014
2,coding,Qwen/Qwen3-8B,pearson,level,0.61,0.034
2,coding,Qwen/Qwen3-8B,pearson,change,1.0,0.037
2,completion,Qwen/Qwen3-8B-Base,pearson,level,0.062,0.017
2,completion,Qwen/Qwen3-8B,pearson,level,0.52,0.024
2,completion,Qwen/Qwen3-8B,pearson,change,0.46,0.027
2,stories,Qwen/Qwen3-8B-Base,pearson,level,-0.27,0.017
2,stories,Qwen/Qwen3-8B,pearson,level,0.16,0.021
2,stories,Qwen/Qwen3-8B,pearson,change,0.43,0.027
2,math,meta-llama/Llama-3.1-8B,pearson,level,-0.27,0.016
2,math,meta-llama/Llama-3.1-8B-Instruct,pearson,level,0.38,0.040
2,math,meta-llama/Llama-3.1-8B-Instruct,pearson,change,0.65,0.044
2,coding,meta-llama/Llama-3.1-8B,pearson,level,-0.38,0.011
2,coding,meta-llama/Llama-3.1-8B-Instruct,pearson,level,0.29,0.021
2,coding,meta-llama/Llama-3.1-8B-Instruct,pearson,change,0.67,0.021
2,completion,meta-llama/Llama-3.1-8B,pearson,level,-0.26,0.015
2,completion,meta-llama/Llama-3.1-8B-Instruct,pearson,level,-0.20,0.024
2,completion,meta-llama/Llama-3.1-8B-Instruct,pearson,change,0.053,0.028
2,stories,meta-llama/Llama-3.1-8B,pearson,level,-0.24,0.012
2,stories,meta-llama/Llama-3.1-8B-Instruct,pearson,level,-0.10,0.020
2,stories,meta-llama/Llama-3.1-8B-Instruct,pearson,change,0.14,0.022
2,math,google/gemma-3-12b-pt,pearson,level,-0.13,0.014
2,math,google/gemma-3-12b-it,pearson,level,0.19,0.040
2,math,google/gemma-3-12b-it,pearson,change,0.32,0.043
2,coding,google/gemma-3-12b-pt,pearson,level,-0.27,0.012
2,coding,google/gemma-3-12b-it,pearson,level,0.39,0.035
2,coding,google/gemma-3-12b-it,pearson,change,0.67,0.037
2,completion,google/gemma-3-12b-pt,pearson,level,-0.23,0.015
2,completion,google/gemma-3-12b-it,pearson,level,0.12,0.038
2,completion,google/gemma-3-12b-it,pearson,change,0.36,0.041
2,stories,google/gemma-3-12b-pt,pearson,level,-0.17,0.012
2,stories,google/gemma-3-12b-it,pearson,level,-0.049,0.027
2,stories,google/gemma-3-12b-it,pearson,change,0.12,0.032
5,math,Qwen/Qwen3-8B-Base,truncation_rate,level,0.0073,
5,math,Qwen/Qwen3-8B,truncation_rate,level,0.0000,
5,stories,Qwen/Qwen3-8B-Base,truncation_rate,level,0.0005,
5,stories,Qwen/Qwen3-8B,truncation_rate,level,0.0000,
5,coding,Qwen/Qwen3-8B-Base,truncation_rate,level,0.0008,
5,coding,Qwen/Qwen3-8B,truncation_rate,level,0.0004,
5,completion,Qwen/Qwen3-8B-Base,truncation_rate,level,0.0313,
5,completion,Qwen/Qwen3-8B,truncation_rate,level,0.0000,
5,math,meta-llama/Llama-3.1-8B,truncation_rate,level,0.0105,
5,math,meta-llama/Llama-3.1-8B-Instruct,truncation_rate,level,0.0006,
5,stories,meta-llama/Llama-3.1-8B,truncation_rate,level,0.0325,
5,stories,meta-llama/Llama-3.1-8B-Instruct,truncation_rate,level,0.0000,
5,coding,meta-llama/Llama-3.1-8B,truncation_rate,level,0.0095,
5,coding,meta-llama/Llama-3.1-8B-Instruct,truncation_rate,level,0.0000,
5,completion,meta-llama/Llama-3.1-8B,truncation_rate,level,0.0174,
5,completion,meta-llama/Llama-3.1-8B-Instruct,truncation_rate,level,0.0000,
5,math,google/gemma-3-12b-pt,truncation_rate,level,0.0036,
5,math,google/gemma-3-12b-it,truncation_rate,level,0.0000,
5,stories,google/gemma-3-12b-pt,truncation_rate,level,0.0066,
5,stories,google/gemma-3-12b-it,truncation_rate,level,0.0000,
5,coding,google/gemma-3-12b-pt,truncation_rate,level,0.0432,
5,coding,google/gemma-3-12b-it,truncation_rate,level,0.0000,
5,completion,google/gemma-3-12b-pt,truncation_rate,level,0.0119,
5,completion,google/gemma-3-12b-it,truncation_rate,level,0.0000,
6,math,Qwen/Qwen3-8B-Base,spearman,level,-0.19,0.023
6,math,meta-llama/Llama-3.1-8B,spearman,level,-0.56,0.031
6,math,google/gemma-3-12b-pt,spearman,level,-0.27,0.023
6,math,Qwen/Qwen3-8B-Base,kendall,level,-0.12,0.015
6,math,meta-llama/Llama-3.1-8B,kendall,level,-0.36,0.024
6,math,google/gemma-3-12b-pt,kendall,level,-0.17,0.015
6,math,Qwen/Qwen3-8B,spearman,level,0.039,0.032
6,math,meta-llama/Llama-3.1-8B-Instruct,spearman,level,0.13,0.029
6,math,google/gemma-3-12b-it,spearman,level,0.096,0.034
6,math,Qwen/Qwen3-8B,kendall,level,0.026,0.020
6,math,meta-llama/Llama-3.1-8B-Instruct,kendall,level,0.082,0.019
6,math,google/gemma-3-12b-it,kendall,level,0.056,0.021
6,math,Qwen/Qwen3-8B,spearman,change,0.23,0.037
6,math,meta-llama/Llama-3.1-8B-Instruct,spearman,change,0.68,0.046
6,math,google/gemma-3-12b-it,spearman,change,0.36,0.045
6,math,Qwen/Qwen3-8B,kendall,change,0.15,0.024
6,math,meta-llama/Llama-3.1-8B-Instruct,kendall,change,0.44,0.033
6,math,google/gemma-3-12b-it,kendall,change,0.22,0.028
6,coding,Qwen/Qwen3-8B-Base,spearman,level,-0.28,0.018
6,coding,meta-llama/Llama-3.1-8B,spearman,level,-0.66,0.014
6,coding,google/gemma-3-12b-pt,spearman,level,-0.40,0.011
6,coding,Qwen/Qwen3-8B-Base,kendall,level,-0.18,0.013
6,coding,meta-llama/Llama-3.1-8B,kendall,level,-0.47,0.012
6,coding,google/gemma-3-12b-pt,kendall,level,-0.26,0.0079
6,coding,Qwen/Qwen3-8B,spearman,level,0.49,0.030
6,coding,meta-llama/Llama-3.1-8B-Instruct,spearman,level,0.30,0.023
6,coding,google/gemma-3-12b-it,spearman,level,0.38,0.032
6,coding,Qwen/Qwen3-8B,kendall,level,0.32,0.021
6,coding,meta-llama/Llama-3.1-8B-Instruct,kendall,level,0.20,0.015
6,coding,google/gemma-3-12b-it,kendall,level,0.25,0.022
6,coding,Qwen/Qwen3-8B,spearman,change,0.76,0.035
6,coding,meta-llama/Llama-3.1-8B-Instruct,spearman,change,0.97,0.022
6,coding,google/gemma-3-12b-it,spearman,change,0.78,0.033
6,coding,Qwen/Qwen3-8B,kendall,change,0.50,0.024
6,coding,meta-llama/Llama-3.1-8B-Instruct,kendall,change,0.67,0.016
6,coding,google/gemma-3-12b-it,kendall,change,0.51,0.023
6,completion,Qwen/Qwen3-8B-Base,spearman,level,-0.0049,0.025
6,completion,meta-llama/Llama-3.1-8B,spearman,level,-0.39,0.019
6,completion,google/gemma-3-12b-pt,spearman,level,-0.32,0.016
6,completion,Qwen/Qwen3-8B-Base,kendall,level,0.0026,0.017
6,completion,meta-llama/Llama-3.1-8B,kendall,level,-0.26,0.013
6,completion,google/gemma-3-12b-pt,kendall,level,-0.22,0.011
6,completion,Qwen/Qwen3-8B,spearman,level,0.52,0.024
6,completion,meta-llama/Llama-3.1-8B-Instruct,spearman,level,-0.22,0.025
6,completion,google/gemma-3-12b-it,spearman,level,0.13,0.035
6,completion,Qwen/Qwen3-8B,kendall,level,0.36,0.018
6,completion,meta-llama/Llama-3.1-8B-Instruct,kendall,level,-0.14,0.017
6,completion,google/gemma-3-12b-it,kendall,level,0.086,0.021
6,completion,Qwen/Qwen3-8B,spearman,change,0.53,0.033
6,completion,meta-llama/Llama-3.1-8B-Instruct,spearman,change,0.17,0.029
6,completion,google/gemma-3-12b-it,spearman,change,0.46,0.037
6,completion,Qwen/Qwen3-8B,kendall,change,0.35,0.023
6,completion,meta-llama/Llama-3.1-8B-Instruct,kendall,change,0.12,0.019
6,completion,google/gemma-3-12b-it,kendall,change,0.30,0.023
6,stories,Qwen/Qwen3-8B-Base,spearman,level,-0.36,0.015
6,stories,meta-llama/Llama-3.1-8B,spearman,level,-0.32,0.015
6,stories,google/gemma-3-12b-pt,spearman,level,-0.30,0.014
6,stories,Qwen/Qwen3-8B-Base,kendall,level,-0.25,0.011
6,stories,meta-llama/Llama-3.1-8B,kendall,level,-0.21,0.011
6,stories,google/gemma-3-12b-pt,kendall,level,-0.20,0.0099
6,stories,Qwen/Qwen3-8B,spearman,level,0.16,0.021
6,stories,meta-llama/Llama-3.1-8B-Instruct,spearman,level,-0.12,0.019
6,stories,google/gemma-3-12b-it,spearman,level,-0.049,0.027
6,stories,Qwen/Qwen3-8B,kendall,level,0.10,0.014
6,stories,meta-llama/Llama-3.1-8B-Instruct,kendall,level,-0.081,0.012
6,stories,google/gemma-3-12b-it,kendall,level,-0.032,0.017
6,stories,Qwen/Qwen3-8B,spearman,change,0.52,0.025
6,stories,meta-llama/Llama-3.1-8B-Instruct,spearman,change,0.20,0.024
6,stories,google/gemma-3-12b-it,spearman,change,0.25,0.032
6,stories,Qwen/Qwen3-8B,kendall,change,0.35,0.017
6,stories,meta-llama/Llama-3.1-8B-Instruct,kendall,change,0.13,0.016
6,stories,google/gemma-3-12b-it,kendall,change,0.16,0.021
"""

_REGRESSION = """\
table,part,term,estimate,se
7,mean,"(Intercept)",-0.87953,0.07007
7,mean,"R_sc",0.70803,0.03340
7,mean,"variantinstruct",-0.37650,0.08609
7,mean,"ns(invN_sc, 4)1",0.15197,0.04085
7,mean,"ns(invN_sc, 4)2",0.39690,0.23890
7,mean,"ns(invN_sc, 4)3",0.62065,1.47024
7,mean,"ns(invN_sc, 4)4",0.61022,3.10032
7,mean,"taskcoding",-0.03721,0.03640
7,mean,"taskmath",0.16948,0.03448
7,mean,"taskstories",-0.27563,0.02864
7,mean,"R_sc:variantinstruct",1.18254,0.04642
7,mean,"variantinstruct:ns(invN_sc, 4)1",-0.13029,0.07868
7,mean,"variantinstruct:ns(invN_sc, 4)2",1.35321,0.31701
7,mean,"variantinstruct:ns(invN_sc, 4)3",1.00650,1.48303
7,mean,"variantinstruct:ns(invN_sc, 4)4",0.81421,3.10203
9,precision,"(Intercept)",2.7544,0.2328
9,precision,"variantinstruct",1.4153,0.2452
9,precision,"taskcoding",2.5511,0.2186
9,precision,"taskmath",2.1418,0.2149
9,precision,"taskstories",1.6534,0.1479
9,precision,"ns(invN_sc, 3)1",-3.3780,0.5323
9,precision,"ns(invN_sc, 3)2",-2.0039,0.8870
9,precision,"ns(invN_sc, 3)3",2.6200,1.8507
9,precision,"R_sc",0.9751,0.1290
9,precision,"model_nameLLaMA-3.1-8B",1.0091,0.1162
9,precision,"model_nameQwen3-8B",0.7270,0.1151
9,precision,"variantinstruct:taskcoding",-2.1969,0.2852
9,precision,"variantinstruct:taskmath",-1.5440,0.2861
9,precision,"variantinstruct:taskstories",-2.9273,0.2085
9,precision,"R_sc:variantinstruct",-1.6085,0.2047
"""

_RANDOM = """\
table,group,variance,sd
8,prompt_uid,0.013937,0.11806
8,model_name,0.006817,0.08256
"""


def published_models() -> pl.DataFrame:
    """Columns ``table, task, hub_id, measure, quantity, value, se``: 240 values of Tables 1, 2, 5 and 6.

    >>> published_models()["table"].value_counts().sort("table").rows()
    [(1, 108), (2, 36), (5, 24), (6, 72)]
    """
    return pl.read_csv(StringIO(_MODELS))


def published_regression() -> pl.DataFrame:
    """Columns ``table, part, term, estimate, se``, with terms in R's spelling: Tables 7 and 9."""
    return pl.read_csv(StringIO(_REGRESSION))


def published_random_effects() -> pl.DataFrame:
    """Columns ``table, group, variance, sd``: Table 8."""
    return pl.read_csv(StringIO(_RANDOM))
